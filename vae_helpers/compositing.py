"""What stood here until 0.1.0 is in `alpha`, `blending`, `inference`, `attributes` and `rendering.alignment`."""

from vae_helpers.moved import former_names

__getattr__ = former_names(
    __name__,
    premultiply="vae_helpers.alpha.premultiply",
    unpremultiply="vae_helpers.alpha.unpremultiply",
    over="vae_helpers.alpha.over",
    feather="vae_helpers.alpha.feather",
    poisson_blend="vae_helpers.blending.poisson_blend",
    fill_smoothly="vae_helpers.blending.fill_smoothly",
    interior_mask="vae_helpers.blending.interior_mask",
    UNKNOWNS_AT_A_TIME="vae_helpers.blending.UNKNOWNS_AT_A_TIME",
    GUIDANCE="vae_helpers.blending.GUIDANCE",
    infer_code="vae_helpers.inference.infer_code",
    RUNAWAY="vae_helpers.inference.RUNAWAY",
    Attributes="vae_helpers.attributes.Attributes",
    fit_attributes="vae_helpers.attributes.fit_attributes",
    KNOTS="vae_helpers.attributes.KNOTS",
    FEATURES="vae_helpers.attributes.FEATURES",
    align="vae_helpers.rendering.alignment.align",
)
