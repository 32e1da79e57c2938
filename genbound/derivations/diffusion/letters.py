r"""Letters of the diffusion bounds: means over the sample S, \hat{} marks the empirical law.

The model is the reverse process with score s_theta, started from the prior pi at the horizon T
and stopped at t_min = epsilon.
"""

import sympy as sp

d = sp.Symbol("d", positive=True, integer=True)
n = sp.Symbol("n", positive=True)
sigma2_min = sp.Symbol(r"\sigma_{\varepsilon}^{2}", positive=True)

kl = sp.Symbol(r"\mathrm{KL}(P_{\varepsilon}\|p_{\theta})", nonnegative=True)
nll = sp.Symbol(r"\mathrm{NLL}_{\varepsilon}", real=True)
esm = sp.Symbol(r"\mathcal{L}_{\mathrm{ESM}}", nonnegative=True)
esm_hat = sp.Symbol(r"\hat{\mathcal{L}}_{\mathrm{ESM}}", nonnegative=True)
dsm = sp.Symbol(r"\mathcal{L}_{\mathrm{DSM}}", nonnegative=True)
dsm_hat = sp.Symbol(r"\hat{\mathcal{L}}_{\mathrm{DSM}}", nonnegative=True)
info_min = sp.Symbol(r"I_{\varepsilon}", nonnegative=True)
info_end = sp.Symbol("I_{T}", nonnegative=True)
info_min_hat = sp.Symbol(r"\hat{I}_{\varepsilon}", nonnegative=True)
info_end_hat = sp.Symbol(r"\hat{I}_{T}", nonnegative=True)
rate = sp.Symbol(r"\mathcal{R}_{T}", nonnegative=True)
root_rate = sp.Symbol(r"\mathcal{K}_{T}", nonnegative=True)
prior_kl = sp.Symbol(r"\mathrm{KL}(P_{T}\|\pi)", nonnegative=True)
prior_kl_hat = sp.Symbol(r"\mathrm{KL}(\hat{P}_{T}\|\pi)", nonnegative=True)
distance_min = sp.Symbol(r"\mathrm{KL}(\hat{P}_{\varepsilon}\|P_{\varepsilon})", nonnegative=True)
distance_end = sp.Symbol(r"\mathrm{KL}(\hat{P}_{T}\|P_{T})", nonnegative=True)
energy = sp.Symbol(r"A_{\bar{s}}", nonnegative=True)
scale_encoder = sp.Symbol("R_{1}", nonnegative=True)
scale_generator = sp.Symbol("R_{2}", nonnegative=True)

# Of the conditional likelihood g(x_eps | x_T) of the generator, the loss of the paper's form.
entropy_min = sp.Symbol(r"{h(P_{\varepsilon})}", real=True)
entropy_min_hat = sp.Symbol(r"{h(\hat{P}_{\varepsilon})}", real=True)
loss_prior = sp.Symbol(r"\mathcal{N}_{\pi}", real=True)
loss_prior_hat = sp.Symbol(r"\hat{\mathcal{N}}_{\pi}", real=True)
loss_encoder_hat = sp.Symbol(r"\hat{\mathcal{N}}_{E}", real=True)
joint = sp.Symbol(r"\mathrm{KL}(\hat{P}_{\varepsilon,T}\|\hat{P}_{T}g)", nonnegative=True)
info_pair = sp.Symbol(r"{I(x_{\varepsilon};x_{T})}", nonnegative=True)
info_pair_hat = sp.Symbol(r"{\hat{I}(x_{\varepsilon};x_{T})}", nonnegative=True)
gap_prior = sp.Symbol(r"\Delta_{\pi}", real=True)
gap_encoder = sp.Symbol(r"\Delta_{E}", real=True)
information_noised = sp.Symbol(r"\bar{I}_{\varepsilon}", nonnegative=True)
