"""Our numbers for the plan's analytic channels: laws, bounds of differential privacy, flows."""

import math

import numpy as np
import pytest

from hartley.channel.bounds import ceilings as th
from hartley.infotheory import (
    binary_channel,
    closed_forms,
    compositions,
    differential_privacy,
    gaussian,
    leakage,
)
from hartley.infotheory import channel_matrix as mx
from hartley.infotheory.capacity import capacity
from hartley.infotheory.capacity_cost import capacity_per_unit_cost

TIGHT = 1e-9


def cap(w):
    return capacity(w, gap=TIGHT).value


def bsc(p, prior_p1):
    w, law = closed_forms.bsc(p), [1 - prior_p1, prior_p1]
    return {
        "capacity": cap(w),
        "mi_at_prior": mx.mutual_information(w, law),
        "min_capacity": mx.min_capacity(w),
        "dispersion_bits2": closed_forms.dispersion(w, capacity(w).prior),
        "eta_kl": mx.eta_kl(w),
        "eta_tv": mx.eta_tv(w),
        "chernoff_information_bits": mx.chernoff_information(*w),
        "bayes_vulnerability_post_at_prior": leakage.posterior_vulnerability(law, w),
    }


def erasure(K, erasure):
    w = closed_forms.erasure(K, erasure)
    return {
        "capacity": cap(w),
        "min_capacity": mx.min_capacity(w),
        "dispersion_bits2": closed_forms.dispersion(w, capacity(w).prior),
        "eta_kl": mx.eta_kl(w),
    }


def z_channel(p):
    w = closed_forms.z_channel(p)
    return {
        "capacity": closed_forms.z_capacity(p)[0],
        "optimal_p1": closed_forms.z_capacity(p)[1],
        "mi_uniform": mx.mutual_information(w),
        "min_capacity": mx.min_capacity(w),
    }


def asymmetric(tpr, fpr):
    w = closed_forms.binary(tpr, fpr)
    return {
        "capacity": closed_forms.binary_capacity(tpr, fpr)[0],
        "optimal_p1": closed_forms.binary_capacity(tpr, fpr)[1],
        "mi_uniform": mx.mutual_information(w),
        "advantage": mx.eta_tv(w),
        "min_capacity": mx.min_capacity(w),
        "eps_ratio_nats": float(binary_channel.epsilon(tpr, fpr)),
        "bayes_security": 1 - mx.eta_tv(w),
    }


def kary(K, accuracy):
    w = closed_forms.symmetric(K, accuracy)
    return {
        "mi_uniform": mx.mutual_information(w),
        "capacity": closed_forms.symmetric_capacity(K, accuracy),
        "min_capacity": mx.min_capacity(w),
        "min_entropy_leakage_uniform": leakage.multiplicative_leakage(np.full(K, 1 / K), w),
    }


def typewriter(K, stay):
    return {
        "capacity": closed_forms.typewriter_capacity(K, stay),
        "min_capacity": mx.min_capacity(closed_forms.typewriter(K, stay)),
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


def gaussian_laws(snr_linear, snr_db, bandwidth_hz, snr_db_sh):
    return {
        "bits_per_use_snr3": gaussian.gaussian_capacity(snr_linear),
        "bits_per_use_10db": gaussian.gaussian_capacity(gaussian.from_db(snr_db)),
        "shannon_hartley_bits_per_s": gaussian.shannon_hartley(
            bandwidth_hz, gaussian.from_db(snr_db_sh)
        ),
    }


def bpsk(snr_linear, note):
    p = gaussian.bpsk_hard_error(snr_linear)
    return {
        "capacity": gaussian.bpsk_capacity(snr_linear),
        "gaussian_input_capacity": gaussian.gaussian_capacity(snr_linear),
        "hard_decision_bsc_p": p,
        "hard_decision_capacity": closed_forms.bsc_capacity(p),
        "auc_of_score": gaussian.gaussian_scores(2 * math.sqrt(snr_linear))["auc"],
    }


def waterfill(noise_var, total_power):
    found = gaussian.water_fill(noise_var, total_power)
    return {"capacity": found.capacity, "water_level": found.level, "active": found.active}


def normal(cov, dx, note):
    bits = gaussian.gaussian_mi(cov, dx)
    return {
        "mi": bits,
        "mi_nats": bits * math.log(2),
        "max_canonical_corr": gaussian.canonical_correlations(cov, dx)[0],
    }


def uniform(half_width, inputs):
    return gaussian.uniform_noise(half_width, inputs)


def laplace(b, sensitivity):
    found = gaussian.laplace_noise(b, sensitivity)
    return {
        "epsilon": found["epsilon"],
        "mi_uniform": found["mi"],
        "advantage": found["advantage"],
        "auc": found["auc"],
        "delta_at_half_eps": differential_privacy.delta_of_laplace(
            found["epsilon"], found["epsilon"] / 2
        ),
    }


def response(epsilon, K):
    w = gaussian.randomised_response(epsilon, K)
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
    found = gaussian.gaussian_scores(mu)
    return {
        "auc": found["auc"],
        "advantage": found["advantage"],
        "tpr_at_fpr_1e2": differential_privacy.gdp_tpr(1e-2, mu),
        "tpr_at_fpr_1e3": differential_privacy.gdp_tpr(1e-3, mu),
        "delta_at_eps1": differential_privacy.delta_of_mu(mu, 1.0),
        "epsilon_at_delta": differential_privacy.epsilon_of_mu(mu, delta),
        "mi_uniform": th.gdp_mi(mu),
        "zcdp_rho": mu**2 / 2,
        # The bound of the file is for a secret of any size: 1 − 1/K tends to 1.
        "mi_upper_bound_rho_bits": th.zcdp_mi(mu**2 / 2, 2**60),
        "chernoff_information_bits": found["chernoff"],
    }


def limits(epsilon, delta):
    return {
        "max_advantage": differential_privacy.dp_advantage(epsilon, delta),
        "max_tpr_at_fpr_1e3": differential_privacy.dp_tpr(1e-3, epsilon, delta),
        "max_binary_min_leakage_bits": th.dp_leakage(epsilon, delta),
    }


def flow(prior, W, gain):
    return {
        "bayes_vuln_prior": leakage.vulnerability(prior),
        "bayes_vuln_post": leakage.posterior_vulnerability(prior, W),
        "min_entropy_leakage": leakage.multiplicative_leakage(prior, W),
        "additive_leakage": leakage.additive_leakage(prior, W),
        "mi": mx.mutual_information(W, prior),
        "two_tries_prior": leakage.tries(prior, 2),
        "two_tries_post": leakage.tries(prior, 2, W),
        "guessing_entropy_prior": leakage.guessing_entropy(prior),
        "guessing_entropy_post": leakage.guessing_entropy(prior, W),
        "min_capacity": mx.min_capacity(W),
        "capacity": cap(W),
        "g_vuln_prior": leakage.vulnerability(prior, gain),
        "g_vuln_post": leakage.posterior_vulnerability(prior, W, gain),
        "g_leakage_mult_bits": leakage.multiplicative_leakage(prior, W, gain),
    }


def cascade(W1, W2, prior, eta_kl_second):
    whole = mx.cascade(W1, W2)
    first, second = mx.mutual_information(W1, prior), cap(W2)
    assert mx.eta_kl(W2) == pytest.approx(eta_kl_second, abs=TIGHT)
    bounds = compositions.serial_bounds(first, second, mx.eta_kl(W2))
    return {
        "mi_first": first,
        "mi_second_leg": mx.mutual_information(W2, np.asarray(prior) @ W1),
        "mi_cascade": mx.mutual_information(whole, prior),
        "dpi_bound": bounds["dpi"],
        "sdpi_bound_dobrushin": compositions.serial_bounds(first, second, mx.eta_tv(W2))["sdpi"],
        "min_capacity_cascade": mx.min_capacity(whole),
        "min_capacity_bound": min(mx.min_capacity(W1), mx.min_capacity(W2)),
        "capacity_cascade": cap(whole),
        "sdpi_bound_kl": bounds["sdpi"],
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
    "awgn": gaussian_laws,
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
}
