"""Our numbers for the plan's analytic cases beyond one law: looks, queries, certificates, games."""

import numpy as np
from tests.channel.laws import TIGHT

from hartley.channel.bounds import one_run_dp, two_rates
from hartley.infotheory import binary_channel, closed_forms, e_values, loops, retrieval
from hartley.infotheory import channel_matrix as mx
from hartley.infotheory import decisions as st
from hartley.infotheory import surprisal as sp
from hartley.infotheory.capacity import capacity
from hartley.infotheory.green_list import green_list


def looks(p, n):
    single = mx.mutual_information(closed_forms.bsc(p))
    w = mx.repeated(closed_forms.bsc(p), n)
    return {
        "mi": mx.mutual_information(w),
        "bayes_error": st.error_after(closed_forms.bsc(p), n),
        "mi_single": single,
        "sum_bound": n * single,
        "maximal_leakage": mx.min_capacity(w),
    }


def queries(channel, target_error):
    w = closed_forms.bsc(0.1)
    bits = capacity(w, gap=TIGHT).value
    kl = float(mx.divergences(w[:1], w[1])[0])
    return {
        "queries_that_suffice": st.queries_that_suffice(w, target_error),
        "error_with_5": st.error_after(w, 5),
        "claimed_log2_inv_eps_over_I": st.claimed_queries(bits, target_error),
        "fano_lower_bound": st.fano_queries(1.0, bits, target_error, 2),
        "bretagnolle_huber_lower_bound": st.bretagnolle_huber_queries(kl, target_error),
    }


def exposure(candidates):
    return {
        "exposure_rank1": float(sp.exposure(1, candidates)),
        "expected_exposure_random_rank": sp.expected_exposure(candidates),
        "p_exposure_at_least_10": 2 ** sp.log2_rank_tail(int(candidates / 2**10), candidates),
    }


def bon(alpha, beta, N):
    mean = st.best_of_n(alpha, beta, 1)
    return {
        "mean_single_asr": mean,
        "asr_at_N": st.best_of_n(alpha, beta, N),
        "log2_failure_slope_asymptotic": st.failure_slope(alpha, beta, 1e9),
        "selection_bits_upper": st.selection_bits(N),
        "erasure_bits_per_use_K256": closed_forms.erasure_capacity(256, 1 - mean),
    }


def permutation(n, keep_prob):
    found = closed_forms.noisy_permutation(n, keep_prob)
    return {
        "mi": found["mi"],
        "entropy_secret": found["entropy"],
        "min_capacity": found["min_capacity"],
    }


def unicity(cipher, language_entropy_bits_per_char):
    key = st.permutation_entropy(26)
    distance = st.unicity_distance(key, 26, language_entropy_bits_per_char)
    return {"key_entropy": key, "redundancy": key / distance, "unicity_chars": distance}


def audit(tp, n_members, fp, n_nonmembers, alpha_total, split, delta):
    a = float(binary_channel.clopper_pearson(tp, n_members, alpha_total / 2)[0])
    b = float(binary_channel.clopper_pearson(fp, n_nonmembers, alpha_total / 2)[1])
    fisher = two_rates.lower(tp, n_members, fp, n_nonmembers, alpha_total, delta=delta)
    return {
        "tpr_lower": a,
        "fpr_upper": b,
        "epsilon_lower": float(binary_channel.epsilon(a, b, delta)),
        "advantage_lower": a - b,
        "mi_lower_uniform": float(binary_channel.bits(a, b)),
        "capacity_lower": float(binary_channel.capacity(a, b)),
        "min_capacity_lower": float(binary_channel.min_capacity(a, b)),
        "mu_lower_gdp": float(binary_channel.mu(a, b)),
        "fisher_z": two_rates.fisher_level(alpha_total),
        "fisher_epsilon_lower": fisher["epsilon"],
        "fisher_mi_lower_uniform": fisher["bits"],
        "fisher_advantage_lower": fisher["advantage"],
    }


def one_run(m, guesses, correct, alpha, delta):
    return {
        "epsilon_lower": one_run_dp.epsilon_lower(m, guesses, correct, alpha, delta),
        "p_value_eps0": one_run_dp.p_value(m, guesses, correct, 0.0, delta),
    }


def surprise(planted_symbols, correct, chance, alpha):
    log2_p = sp.log2_binomial_tail(correct, planted_symbols, chance)
    total = sp.certificate(log2_p, alpha).lower
    return {
        "log2_p": log2_p,
        "certified_maximal_leakage_bits": total,
        "per_symbol": sp.certificate(log2_p, alpha, uses=planted_symbols).lower,
        "asymptotic_rate_check": closed_forms.bsc_capacity(1 - correct / planted_symbols),
    }


def kgw(tokens, green, gamma):
    found = green_list(tokens, green, gamma)
    return {
        "z": found["z"],
        "log2_p_exact": found["log2_p"],
        "log2_p_normal": found["log2_p_normal"],
        "kl_bits_per_token": found["bits_per_token"],
    }


def mark(n_bits, matched, bit_error, block_error):
    w = closed_forms.bsc(bit_error)
    spread = closed_forms.dispersion(w, [0.5, 0.5])
    bits = closed_forms.bsc_capacity(bit_error)
    return {
        "log2_p_match": sp.log2_binomial_tail(matched, n_bits, 0.5),
        "capacity_total": n_bits * bits,
        "dispersion_bits2": spread,
        "normal_approx_bits": closed_forms.normal_approximation(n_bits, bits, spread, block_error),
    }


def info_nce(K, batch):
    perfect = np.where(np.eye(batch), 100.0, 0.0)[None]
    return {
        "true_mi": mx.mutual_information(np.eye(K)),
        "infonce_optimal": retrieval.info_nce_optimum(K, batch),
        "ceiling": retrieval.info_nce(perfect).value,
    }


def minimax(leak_attacks_by_defences, utility, min_utility):
    found = st.minimax(leak_attacks_by_defences, utility, min_utility)
    return {"game_value": found.value, "best_pure": found.pure, "mixture": found.mixture}


def loop(G):
    return {
        "spectral_radius": loops.loop_gain(G),
        "spectral_radius_after_unit_change": loops.loop_gain(
            loops.in_units(G, [1.0, 1000.0, 0.01])
        ),
    }


def e_value(n, successes, p0, fixed_bet_lambda):
    kt = e_values.log2_kt(successes, n, p0)
    return {
        "log2_e_kt_mixture": kt,
        "log2_e_fixed_bet": e_values.log2_fixed_bet(successes, n, p0, fixed_bet_lambda),
        "anytime_p": min(1.0, 2**-kt),
    }


SOLVERS = {
    "repeated_looks_bsc": looks,
    "query_lower_bound": queries,
    "exposure": exposure,
    "best_of_n_betabinomial": bon,
    "noisy_permutation_uniform": permutation,
    "unicity_distance": unicity,
    "clopper_pearson_audit": audit,
    "one_run_audit": one_run,
    "surprisal_certificate": surprise,
    "kgw_watermark": kgw,
    "watermark_bits": mark,
    "infonce_ceiling": info_nce,
    "minimax_defence": minimax,
    "loop_gain": loop,
    "e_value": e_value,
}
