#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

namespace chatglm {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();
constexpr float kLeastLogprob = -9999;  // as OpenAI's API has it; JSON has no infinity

// What is no number has no order, which sorting needs, and is never wanted.
void replace_nans(float *logits, int vocab) {
    for (int i = 0; i < vocab; ++i) {
        if (std::isnan(logits[i])) logits[i] = kMinusInfinity;
    }
}

// The logarithm of the sum of e^logit, and the largest logit, which is taken out first.
double log_sum(const float *logits, int vocab) {
    float largest = kMinusInfinity;
    for (int i = 0; i < vocab; ++i) largest = std::max(largest, logits[i]);
    double sum = 0;
    for (int i = 0; i < vocab; ++i) sum += std::exp(static_cast<double>(logits[i]) - largest);
    return largest + std::log(sum);
}

float logprob(float logit, double total) {
    const double value = logit - total;
    return value > kLeastLogprob ? static_cast<float>(value) : kLeastLogprob;
}

// The larger logit first; of equal ones the smaller token, so that the order is the same everywhere.
bool likelier(const std::pair<float, int> &a, const std::pair<float, int> &b) {
    return a.first > b.first || (a.first == b.first && a.second < b.second);
}

}  // namespace

Sampler::Sampler(const SamplingParams &params, const std::vector<int> &prompt) : params_(params), random_(params.seed) {
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
}

Sampled Sampler::sample(float *logits, int vocab, const std::vector<int> &allowed) {
    const std::lock_guard<std::mutex> lock(mutex_);
    replace_nans(logits, vocab);
    Sampled made{0, 0, {}};
    double total = 0;
    std::vector<float> unchanged;
    if (params_.top_logprobs >= 0) {
        total = log_sum(logits, vocab);
        unchanged.assign(logits, logits + vocab);
    }
    penalize(logits, vocab);
    replace_nans(logits, vocab);  // infinities less infinities
    made.token = draw(logits, vocab, allowed);
    if (params_.top_logprobs >= 0) {
        made.logprob = logprob(unchanged[made.token], total);
        const int count = std::min(params_.top_logprobs, vocab);
        candidates_.clear();
        for (int i = 0; i < vocab; ++i) candidates_.emplace_back(unchanged[i], i);
        std::partial_sort(candidates_.begin(), candidates_.begin() + count, candidates_.end(), likelier);
        for (int i = 0; i < count; ++i) {
            made.top.emplace_back(candidates_[i].second, logprob(candidates_[i].first, total));
        }
    }
    note_locked(made.token);
    return made;
}

void Sampler::penalize(float *logits, int vocab) const {
    for (const auto &[token, seen] : seen_) {
        if (token < 0 || token >= vocab) continue;
        float &logit = logits[token];
        if (params_.repetition_penalty != 1) {
            logit = logit > 0 ? logit / params_.repetition_penalty : logit * params_.repetition_penalty;
        }
        if (seen.in_answer > 0) {
            logit -= params_.presence_penalty + params_.frequency_penalty * static_cast<float>(seen.in_answer);
        }
    }
    for (const auto &[token, bias] : params_.bias) {
        if (token >= 0 && token < vocab) logits[token] += bias;
    }
}

int Sampler::draw(const float *logits, int vocab, const std::vector<int> &allowed) {
    if (params_.temperature <= 0 && allowed.empty()) {
        return static_cast<int>(std::max_element(logits, logits + vocab) - logits);
    }
    candidates_.clear();
    if (allowed.empty()) {
        for (int i = 0; i < vocab; ++i) candidates_.emplace_back(logits[i], i);
    } else {
        for (int token : std::set<int>(allowed.begin(), allowed.end())) candidates_.emplace_back(logits[token], token);
    }
    if (params_.temperature <= 0) return std::min_element(candidates_.begin(), candidates_.end(), likelier)->second;
    size_t kept = candidates_.size();
    if (params_.top_k > 0) kept = std::min(kept, static_cast<size_t>(params_.top_k));
    if (kept < candidates_.size()) {
        std::nth_element(candidates_.begin(), candidates_.begin() + kept - 1, candidates_.end(), likelier);
        candidates_.resize(kept);
    }
    std::sort(candidates_.begin(), candidates_.end(), likelier);

    // probabilities in place of logits
    const double largest = candidates_.front().first;
    double sum = 0;
    for (auto &[logit, token] : candidates_) {
        logit = static_cast<float>(std::exp((logit - largest) / params_.temperature));
        sum += logit;
    }
    if (!(sum > 0) || !std::isfinite(sum)) return candidates_.front().second;
    const double least = params_.min_p;  // the largest is 1
    double reached = 0;
    kept = 0;
    while (kept < candidates_.size() &&
           (kept == 0 || (reached < params_.top_p * sum && candidates_[kept].first >= least))) {
        reached += candidates_[kept++].first;
    }
    const double point = static_cast<double>(random_() >> 11) * 0x1p-53 * reached;
    double passed = 0;
    for (size_t i = 0; i < kept; ++i) {
        passed += candidates_[i].first;
        if (point < passed) return candidates_[i].second;
    }
    return candidates_[kept - 1].second;
}

}  // namespace chatglm
