"""All 34 analytic channels of the plan, every expected number, to its stated tolerance."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hartley.channel import awgn, binary, closed, dp, onerun, qif, rates, retrieval, sequential
from hartley.channel import matrix as mx
from hartley.channel import strategy as st
from hartley.channel import surprisal as sp
from hartley.channel import theory as th
from hartley.channel.capacity import capacity
from hartley.channel.cost import capacity_per_unit_cost
from hartley.channel.marks import green_list

FILE = json.loads((Path(__file__).parent / "channels.json").read_text())
CASES = {case["id"]: case for case in FILE["cases"]}
TIGHT = 1e-9


def cap(w):
    return capacity(w, gap=TIGHT).value


def bsc(p, prior_p1):
    w, law = closed.bsc(p), [1 - prior_p1, prior_p1]
    return {
        "capacity": cap(w),
        "mi_at_prior": mx.mutual_information(w, law),
        "min_capacity": mx.min_capacity(w),
        "dispersion_bits2": closed.dispersion(w, capacity(w).prior),
        "eta_kl": mx.eta_kl(w),
        "eta_tv": mx.eta_tv(w),
        "chernoff_information_bits": mx.chernoff_information(*w),
        "bayes_vulnerability_post_at_prior": qif.posterior_vulnerability(law, w),
    }


def erasure(K, erasure):
    w = closed.erasure(K, erasure)
    return {
        "capacity": cap(w),
        "min_capacity": mx.min_capacity(w),
        "dispersion_bits2": closed.dispersion(w, capacity(w).prior),
        "eta_kl": mx.eta_kl(w),
    }


def z_channel(p):
    w = closed.z_channel(p)
    return {
        "capacity": closed.z_capacity(p)[0],
        "optimal_p1": closed.z_capacity(p)[1],
        "mi_uniform": mx.mutual_information(w),
        "min_capacity": mx.min_capacity(w),
    }


def asymmetric(tpr, fpr):
    w = closed.binary(tpr, fpr)
    return {
        "capacity": closed.binary_capacity(tpr, fpr)[0],
        "optimal_p1": closed.binary_capacity(tpr, fpr)[1],
        "mi_uniform": mx.mutual_information(w),
        "advantage": mx.eta_tv(w),
        "min_capacity": mx.min_capacity(w),
        "eps_ratio_nats": float(rates.epsilon(tpr, fpr)),
        "bayes_security": 1 - mx.eta_tv(w),
    }


def kary(K, accuracy):
    w = closed.symmetric(K, accuracy)
    return {
        "mi_uniform": mx.mutual_information(w),
        "capacity": closed.symmetric_capacity(K, accuracy),
        "min_capacity": mx.min_capacity(w),
        "min_entropy_leakage_uniform": qif.multiplicative_leakage(np.full(K, 1 / K), w),
    }


def typewriter(K, stay):
    return {
        "capacity": closed.typewriter_capacity(K, stay),
        "min_capacity": mx.min_capacity(closed.typewriter(K, stay)),
    }


def matrix(W, W_rows_unnormalised):
    found = capacity(W, gap=1e-10)
    return {
        "capacity": found.value,
        "capacity_lower": found.lower,
        "capacity_upper": found.upper,
        "mi_uniform": mx.mutual_information(W),
        "min_capacity": mx.min_capacity(W),
        "eta_tv": mx.eta_tv(W),
        "n_inputs_with_zero_mass": found.unused,
    }


def unit_cost(W, cost, zero_cost_symbol):
    found = capacity_per_unit_cost(W, cost, zero_cost_symbol)
    return {"bits_per_unit_cost": found.bits, "best_symbol": found.symbol}


def gaussian(snr_linear, snr_db, bandwidth_hz, snr_db_sh):
    return {
        "bits_per_use_snr3": awgn.gaussian_capacity(snr_linear),
        "bits_per_use_10db": awgn.gaussian_capacity(awgn.from_db(snr_db)),
        "shannon_hartley_bits_per_s": awgn.shannon_hartley(bandwidth_hz, awgn.from_db(snr_db_sh)),
    }


def bpsk(snr_linear, note):
    p = awgn.bpsk_hard_error(snr_linear)
    return {
        "capacity": awgn.bpsk_capacity(snr_linear),
        "gaussian_input_capacity": awgn.gaussian_capacity(snr_linear),
        "hard_decision_bsc_p": p,
        "hard_decision_capacity": closed.bsc_capacity(p),
        "auc_of_score": awgn.gaussian_scores(2 * math.sqrt(snr_linear))["auc"],
    }


def waterfill(noise_var, total_power):
    found = awgn.water_fill(noise_var, total_power)
    return {"capacity": found.capacity, "water_level": found.level, "active": found.active}


def normal(cov, dx, note):
    bits = awgn.gaussian_mi(cov, dx)
    return {
        "mi": bits,
        "mi_nats": bits * math.log(2),
        "max_canonical_corr": awgn.canonical_correlations(cov, dx)[0],
    }


def uniform(half_width, inputs):
    return awgn.uniform_noise(half_width, inputs)


def laplace(b, sensitivity):
    found = awgn.laplace_noise(b, sensitivity)
    return {
        "epsilon": found["epsilon"],
        "mi_uniform": found["mi"],
        "advantage": found["advantage"],
        "auc": found["auc"],
        "delta_at_half_eps": dp.delta_of_laplace(found["epsilon"], found["epsilon"] / 2),
    }


def response(epsilon, K):
    w = awgn.randomised_response(epsilon, K)
    tv, kl = th.dp_contraction(epsilon)
    return {
        "p_truth": w[0, 0],
        "mi_uniform": mx.mutual_information(w),
        "min_capacity": mx.min_capacity(w),
        "tv": mx.eta_tv(w),
        "eta_tv_bound_any_eps_ldp": tv,
        "eta_kl_bound_any_eps_ldp": kl,
        "mi_upper_bound_eps_bits": th.quoted_dp_mi(epsilon),
    }


def gdp(mu, delta):
    found = awgn.gaussian_scores(mu)
    return {
        "auc": found["auc"],
        "advantage": found["advantage"],
        "tpr_at_fpr_1e2": dp.gdp_tpr(1e-2, mu),
        "tpr_at_fpr_1e3": dp.gdp_tpr(1e-3, mu),
        "delta_at_eps1": dp.delta_of_mu(mu, 1.0),
        "epsilon_at_delta": dp.epsilon_of_mu(mu, delta),
        "mi_uniform": th.gdp_mi(mu),
        "zcdp_rho": mu**2 / 2,
        # The bound of the file is for a secret of any size: 1 − 1/K tends to 1.
        "mi_upper_bound_rho_bits": th.zcdp_mi(mu**2 / 2, 2**60),
        "chernoff_information_bits": found["chernoff"],
    }


def limits(epsilon, delta):
    return {
        "max_advantage": dp.dp_advantage(epsilon, delta),
        "max_tpr_at_fpr_1e3": dp.dp_tpr(1e-3, epsilon, delta),
        "max_binary_min_leakage_bits": th.dp_leakage(epsilon, delta),
    }


def flow(prior, W, gain):
    return {
        "bayes_vuln_prior": qif.vulnerability(prior),
        "bayes_vuln_post": qif.posterior_vulnerability(prior, W),
        "min_entropy_leakage": qif.multiplicative_leakage(prior, W),
        "additive_leakage": qif.additive_leakage(prior, W),
        "mi": mx.mutual_information(W, prior),
        "two_tries_prior": qif.tries(prior, 2),
        "two_tries_post": qif.tries(prior, 2, W),
        "guessing_entropy_prior": qif.guessing_entropy(prior),
        "guessing_entropy_post": qif.guessing_entropy(prior, W),
        "min_capacity": mx.min_capacity(W),
        "capacity": cap(W),
        "g_vuln_prior": qif.vulnerability(prior, gain),
        "g_vuln_post": qif.posterior_vulnerability(prior, W, gain),
        "g_leakage_mult_bits": qif.multiplicative_leakage(prior, W, gain),
    }


def cascade(W1, W2, prior, eta_kl_second):
    whole = mx.cascade(W1, W2)
    first, second = mx.mutual_information(W1, prior), cap(W2)
    assert mx.eta_kl(W2) == pytest.approx(eta_kl_second, abs=TIGHT)
    bounds = closed.serial_bounds(first, second, mx.eta_kl(W2))
    return {
        "mi_first": first,
        "mi_second_leg": mx.mutual_information(W2, np.asarray(prior) @ W1),
        "mi_cascade": mx.mutual_information(whole, prior),
        "dpi_bound": bounds["dpi"],
        "sdpi_bound_dobrushin": closed.serial_bounds(first, second, mx.eta_tv(W2))["sdpi"],
        "min_capacity_cascade": mx.min_capacity(whole),
        "min_capacity_bound": min(mx.min_capacity(W1), mx.min_capacity(W2)),
        "capacity_cascade": cap(whole),
        "sdpi_bound_kl": bounds["sdpi"],
    }


def looks(p, n):
    single = mx.mutual_information(closed.bsc(p))
    w = mx.repeated(closed.bsc(p), n)
    return {
        "mi": mx.mutual_information(w),
        "bayes_error": st.error_after(closed.bsc(p), n),
        "mi_single": single,
        "sum_bound": n * single,
        "maximal_leakage": mx.min_capacity(w),
    }


def queries(channel, target_error):
    w = closed.bsc(0.1)
    bits = cap(w)
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
        "erasure_bits_per_use_K256": closed.erasure_capacity(256, 1 - mean),
    }


def permutation(n, keep_prob):
    found = closed.noisy_permutation(n, keep_prob)
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
    a = float(binary.clopper_pearson(tp, n_members, alpha_total / 2)[0])
    b = float(binary.clopper_pearson(fp, n_nonmembers, alpha_total / 2)[1])
    fisher = binary.lower(tp, n_members, fp, n_nonmembers, alpha_total, delta=delta)
    return {
        "tpr_lower": a,
        "fpr_upper": b,
        "epsilon_lower": float(rates.epsilon(a, b, delta)),
        "advantage_lower": a - b,
        "mi_lower_uniform": float(rates.bits(a, b)),
        "capacity_lower": float(rates.capacity(a, b)),
        "min_capacity_lower": float(rates.min_capacity(a, b)),
        "mu_lower_gdp": float(rates.mu(a, b)),
        "fisher_z": binary.fisher_level(alpha_total),
        "fisher_epsilon_lower": fisher["epsilon"],
        "fisher_mi_lower_uniform": fisher["bits"],
        "fisher_advantage_lower": fisher["advantage"],
    }


def one_run(m, guesses, correct, alpha, delta):
    return {
        "epsilon_lower": onerun.epsilon_lower(m, guesses, correct, alpha, delta),
        "p_value_eps0": onerun.p_value(m, guesses, correct, 0.0, delta),
    }


def surprise(planted_symbols, correct, chance, alpha):
    log2_p = sp.log2_binomial_tail(correct, planted_symbols, chance)
    total = sp.certificate(log2_p, alpha).lower
    return {
        "log2_p": log2_p,
        "certified_maximal_leakage_bits": total,
        "per_symbol": sp.certificate(log2_p, alpha, uses=planted_symbols).lower,
        "asymptotic_rate_check": closed.bsc_capacity(1 - correct / planted_symbols),
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
    w = closed.bsc(bit_error)
    spread = closed.dispersion(w, [0.5, 0.5])
    bits = closed.bsc_capacity(bit_error)
    return {
        "log2_p_match": sp.log2_binomial_tail(matched, n_bits, 0.5),
        "capacity_total": n_bits * bits,
        "dispersion_bits2": spread,
        "normal_approx_bits": closed.normal_approximation(n_bits, bits, spread, block_error),
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
        "spectral_radius": st.loop_gain(G),
        "spectral_radius_after_unit_change": st.loop_gain(st.in_units(G, [1.0, 1000.0, 0.01])),
    }


def e_value(n, successes, p0, fixed_bet_lambda):
    kt = sequential.log2_kt(successes, n, p0)
    return {
        "log2_e_kt_mixture": kt,
        "log2_e_fixed_bet": sequential.log2_fixed_bet(successes, n, p0, fixed_bet_lambda),
        "anytime_p": min(1.0, 2**-kt),
    }


SOLVERS = {
    "bsc": bsc,
    "kary_erasure": erasure,
    "z_channel": z_channel,
    "binary_asymmetric": asymmetric,
    "kary_symmetric": kary,
    "noisy_typewriter": typewriter,
    "dmc_matrix": matrix,
    "capacity_per_unit_cost": unit_cost,
    "awgn": gaussian,
    "bpsk_awgn": bpsk,
    "parallel_gaussian": waterfill,
    "mvn": normal,
    "binary_plus_uniform": uniform,
    "laplace_mechanism": laplace,
    "randomised_response": response,
    "gaussian_dp": gdp,
    "eps_delta_dp_limits": limits,
    "qif": flow,
    "cascade": cascade,
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


def check(case):
    """Hold every expected number against ours; the number of numbers checked."""
    found = SOLVERS[case["kind"]](**case["params"])
    wrong = {}
    for key, due in case["expected"].items():
        got = np.asarray(found[key], dtype=float)
        if got.shape != np.shape(due) or not np.all(np.abs(got - due) <= case["tol"]):
            wrong[key] = (found[key], due)
    assert not wrong, f"{case['id']}: (ours, due) {wrong}"
    return len(case["expected"])


@pytest.mark.parametrize("name", sorted(CASES))
def test_case(name):
    assert check(CASES[name]) > 0


def test_nothing_is_left_out():
    assert len(CASES) == FILE["n"] == 34
    assert {case["kind"] for case in CASES.values()} == set(SOLVERS)
    due = sum(len(case["expected"]) for case in CASES.values())
    assert sum(check(case) for case in CASES.values()) == due == 163


def test_small_probabilities_are_right_in_their_leading_digits():
    """An absolute tolerance of 1e-6 would let a wrong 1e-18 through."""
    case = CASES["C51-one-run"]
    due = case["expected"]["p_value_eps0"]
    assert one_run(**case["params"])["p_value_eps0"] == pytest.approx(due, rel=1e-9)
