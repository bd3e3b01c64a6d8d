#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "random.h"

namespace chatglm {
namespace {

constexpr float kLeastLogprob = -9999;  // as OpenAI's API has it; JSON has no infinity

float logprob(float logit, double log_total) {
    const double value = logit - log_total;
    return value > kLeastLogprob ? static_cast<float>(value) : kLeastLogprob;
}

// The least likely of the smallest set of likeliest candidates whose weights add up to `mass`. Changes the order. The
// sums are exact, so the way in which the standard library partitions does not matter.
Candidate end_of_nucleus(std::vector<Candidate> &candidates, double mass) {
    auto begin = candidates.begin(), end = candidates.end();
    while (end - begin > 1) {
        const auto middle = begin + (end - begin) / 2;
        std::nth_element(begin, middle, end, likelier);
        double upper = 0;
        for (auto it = begin; it != middle; ++it) upper += it->weight;
        if (upper >= mass) {
            end = middle;
        } else {
            mass -= upper, begin = middle;
        }
    }
    return *begin;
}

}  // namespace

Sampler::Sampler(const SamplingParams &params, const std::vector<int> &prompt) : params_(params) {
    for (int token : prompt) seen_[token].anywhere = true;
}

void Sampler::note(int token) {
    const std::lock_guard<std::mutex> lock(mutex_);
    note_locked(token);
}

void Sampler::note_locked(int token) {
    Seen &seen = seen_[token];
    seen.anywhere = true;
    ++seen.in_answer;
    ++position_;
}

std::vector<Sampled> Sampler::sample(float *logits, int vocab, const std::vector<int> &draft,
                                     const std::vector<const uint32_t *> &masks) {
    const std::lock_guard<std::mutex> lock(mutex_);
    std::vector<Sampled> tokens;
    for (size_t row = 0; row <= draft.size(); ++row) {
        tokens.push_back(sample_row(logits + row * vocab, vocab, masks.empty() ? nullptr : masks[row]));
        if (tokens.back().token < 0) break;
        note_locked(tokens.back().token);
        if (row < draft.size() && tokens.back().token != draft[row]) break;
    }
    return tokens;
}

Sampled Sampler::sample_row(float *logits, int vocab, const uint32_t *mask) {
    Sampled sampled{-1, 0, {}};
    double log_total = 0;
    if (params_.top_logprobs >= 0) {
        const LogitsRow row(logits, vocab, nullptr, scratch_);
        // not finite: NaN, so that no token has a probability
        log_total = std::isfinite(row.largest()) ? row.largest() + std::log(row.total(1) / row.one()) : NAN;
        const size_t count = std::min(params_.top_logprobs, vocab);
        if (count > 0) row.likeliest(count, candidates_), std::sort(candidates_.begin(), candidates_.end(), likelier);
        for (size_t i = 0; i < count; ++i) {
            sampled.top.emplace_back(candidates_[i].token, logprob(candidates_[i].logit, log_total));
        }
    }
    penalize(logits, vocab);
    sampled.token = draw(LogitsRow(logits, vocab, mask, scratch_));
    for (; !changed_.empty(); changed_.pop_back()) logits[changed_.back().first] = changed_.back().second;
    if (params_.top_logprobs >= 0 && sampled.token >= 0) sampled.logprob = logprob(logits[sampled.token], log_total);
    return sampled;
}

void Sampler::change(float *logits, int token, float value) {
    changed_.emplace_back(token, logits[token]);
    logits[token] = value;
}

void Sampler::penalize(float *logits, int vocab) {
    if (params_.repetition_penalty != 1 || params_.presence_penalty != 0 || params_.frequency_penalty != 0) {
        for (const auto &[token, seen] : seen_) {
            if (token < 0 || token >= vocab) continue;
            float logit = logits[token];
            if (params_.repetition_penalty != 1) {
                logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
            }
            if (seen.in_answer > 0) {
                logit -= params_.presence_penalty + params_.frequency_penalty * static_cast<float>(seen.in_answer);
            }
            change(logits, token, logit);
        }
    }
    for (const auto &[token, bias] : params_.bias) {
        if (token >= 0 && token < vocab) change(logits, token, logits[token] + bias);
    }
}

int Sampler::draw(const LogitsRow &row) {
    const float temperature = params_.temperature, top_p = params_.top_p, min_p = params_.min_p;
    if (temperature <= 0 || !std::isfinite(row.largest())) return row.best();
    const double random = uniform(params_.seed, params_.answer, position_);
    if (params_.top_k > 0 && params_.top_k < row.vocab()) {
        row.likeliest(params_.top_k, candidates_);
        const double all = row.weigh(temperature, candidates_);
        if (top_p < 1) keep_nucleus(top_p * all);
    } else if (top_p < 1) {
        // the nucleus is mostly a few tokens near the largest logit: look there first
        const double mass = top_p * row.total(temperature);
        double found = -1;
        for (float reach = 2; found < mass && reach < 200; reach *= 1.5F) {
            row.at_least(row.largest() - temperature * reach, candidates_);
            found = row.weigh(temperature, candidates_);
        }
        keep_nucleus(mass);
    } else if (min_p > 0) {
        // a little further, for the logarithm is rounded: the weights decide
        row.at_least(row.largest() + temperature * (std::log(min_p) - 1e-3F), candidates_);
        row.weigh(temperature, candidates_);
    } else {
        return row.at(random * row.total(temperature), temperature);
    }
    if (min_p > 0) {
        const double least = std::min(1.0F, min_p) * row.one();
        const auto less = [&](const Candidate &candidate) { return candidate.weight < least; };
        candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), less), candidates_.end());
    }
    double all = 0;
    for (const Candidate &candidate : candidates_) all += candidate.weight;
    const double point = random * all;
    double passed = 0;
    for (const Candidate &candidate : candidates_) {
        passed += candidate.weight;
        if (point < passed) return candidate.token;
    }
    return row.best();
}

// Keeps the smallest set of likeliest candidates whose weights add up to `mass`, at least one.
void Sampler::keep_nucleus(double mass) {
    sorted_ = candidates_;
    if (sorted_.empty()) return;
    const Candidate last = end_of_nucleus(sorted_, mass);
    const auto beyond = [&](const Candidate &candidate) { return likelier(last, candidate); };
    candidates_.erase(std::remove_if(candidates_.begin(), candidates_.end(), beyond), candidates_.end());
}

}  // namespace chatglm
