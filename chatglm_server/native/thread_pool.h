// A fixed set of threads that share the work of one caller at a time; callers take turns.
#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#ifdef CHATGLM_X86
#include <immintrin.h>
#endif

namespace chatglm {

class ThreadPool {
  public:
    // `threads` includes the caller. Throws std::system_error if the system has no more.
    explicit ThreadPool(int threads) { start(threads); }
    ~ThreadPool() { stop(); }
    ThreadPool(const ThreadPool &) = delete;
    ThreadPool &operator=(const ThreadPool &) = delete;

    // Goes on with so many threads. The caller is the only one that uses the pool meanwhile. If the system has no more,
    // throws std::system_error, and the caller is the only thread.
    void resize(int threads) {
        const std::lock_guard<std::mutex> turn(turn_);
        stop();
        start(threads);
    }

    int threads() const { return static_cast<int>(workers_.size()) + 1; }

    // Calls task(begin, end, thread) for pieces of [0, count) of `piece` each, until all are done; for all of them at
    // once if there is one thread. The caller's thread has the number 0. A thread that is free takes the next piece, so
    // that one that is held up holds up no other. If a task throws, the exception is thrown here once all threads are
    // done, and pieces that no thread had begun are left out. A task must not call `run`.
    void run(int count, int piece, const std::function<void(int, int, int)> &task) {
        if (count <= piece || workers_.empty()) {
            if (count > 0) task(0, count, 0);
            return;
        }
        const std::lock_guard<std::mutex> turn(turn_);
        {
            std::lock_guard<std::mutex> lock(mutex_);
            task_ = &task;
            count_ = count;
            piece_ = piece;
            next_.store(0);
            busy_ = static_cast<int>(workers_.size());
            ++round_;
        }
        wake_.notify_all();
        take(0);
        // the other threads are at most a piece away from the end: spinning is shorter than falling asleep
        for (int spins = 0; busy_.load() > 0;) {
            if (spins < kSpins) {
                ++spins, pause();
            } else {
                std::this_thread::yield();
            }
        }
        if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    }

  private:
    // Tens of microseconds on x86: a forward pass does as much alone between two rounds, and a processor that fell
    // asleep meanwhile takes as long to wake up, in a virtual machine longer.
    static constexpr int kSpins = 2000;

    // Leaves the core to its other thread for a moment.
    static void pause() {
#ifdef CHATGLM_X86
        _mm_pause();
#endif
    }

    void start(int threads) {
        stopping_ = false;
        try {
            for (int i = 1; i < threads; ++i) {
                workers_.emplace_back([this, i, seen = round_.load()] { work(i, seen); });
            }
        } catch (...) {
            stop();
            throw;
        }
    }

    void stop() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (std::thread &worker : workers_) worker.join();
        workers_.clear();
    }

    void take(int thread) {
        try {
            for (int64_t begin; (begin = next_.fetch_add(piece_)) < count_;) {
                (*task_)(static_cast<int>(begin), static_cast<int>(std::min<int64_t>(begin + piece_, count_)), thread);
            }
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            if (!thrown_) thrown_ = std::current_exception();
            next_.store(count_);
        }
    }

    // `seen` is the last round that is over.
    void work(int thread, unsigned seen) {
        while (true) {
            for (int spins = 0; round_.load() == seen && spins < kSpins; ++spins) pause();
            if (round_.load() == seen) {
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return stopping_ || round_.load() != seen; });
                if (stopping_) return;
            }
            seen = round_.load();
            {
                std::lock_guard<std::mutex> lock(mutex_);  // the round is set up
                if (stopping_) return;
            }
            take(thread);
            busy_.fetch_sub(1);
        }
    }

    std::vector<std::thread> workers_;
    std::mutex turn_;   // of the callers
    std::mutex mutex_;  // of what follows
    std::condition_variable wake_;
    std::atomic<unsigned> round_{0};
    std::atomic<int64_t> next_{0};  // wider than a count: at the end every thread adds to it once more
    std::atomic<int> busy_{0};
    std::exception_ptr thrown_;
    const std::function<void(int, int, int)> *task_ = nullptr;
    int count_ = 0, piece_ = 1;
    bool stopping_ = false;
};

}  // namespace chatglm
