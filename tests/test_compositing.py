"""Compositing: layers, feathering, the Poisson equation, alignment, codes from parts, attributes."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import kl_divergence

from vae_helpers import compositing
from vae_helpers.distributions import BernoulliLikelihood, GaussianLikelihood, diagonal_gaussian, standard_normal
from vae_helpers.models.vae import VAE
from vae_helpers.rendering import faces


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blob_masks():
    """Masks of many forms on 9 x 11 pixels: a box, two islands, touching the border, a ring, nearly everything."""
    masks = torch.zeros(6, 1, 9, 11, dtype=torch.float64)
    masks[0, :, 2:6, 3:8] = 1
    masks[1, :, 1:3, 1:3] = masks[1, :, 6:8, 5:9] = 1
    masks[2, :, :4, :5] = 1
    masks[3, :, 1:8, 1:8] = 1
    masks[3, :, 3:6, 3:6] = 0
    masks[4] = 1
    masks[4, :, 8, 10] = 0
    masks[5, :, 4, :] = 1
    return masks


# --- layers ------------------------------------------------------------------------------------------------------


def layer(seed):
    return compositing.premultiply(rand(3, 4, 5, 6, seed=seed))


def test_premultiplying_multiplies_the_colours_and_keeps_alpha():
    rgba = rand(2, 4, 3, 3)
    result = compositing.premultiply(rgba)
    for c in range(3):
        assert torch.equal(result[:, c], rgba[:, c] * rgba[:, 3])
    assert torch.equal(result[:, 3], rgba[:, 3])


def test_unpremultiply_undoes_premultiply_and_is_finite_where_alpha_is_zero():
    rgba = rand(2, 4, 3, 3)
    assert torch.allclose(compositing.unpremultiply(compositing.premultiply(rgba)), rgba)
    rgba[:, 3, 0] = 0
    back = compositing.unpremultiply(compositing.premultiply(rgba))
    assert torch.isfinite(back).all() and (back[:, :, 0] == 0).all()


def test_light_without_alpha_has_no_colour_and_a_little_alpha_has():
    glow = torch.full((1, 4, 2, 2), 0.5)
    glow[:, 3] = 0
    assert (compositing.unpremultiply(glow) == 0).all()
    faint = torch.tensor([4e-4, 3e-4, 2e-4, 5e-4]).view(1, 4, 1, 1)
    assert torch.allclose(compositing.unpremultiply(faint)[:, :3].flatten(), torch.tensor([0.8, 0.6, 0.4]))


def test_where_alpha_is_zero_unpremultiplying_has_a_finite_gradient():
    rgba = torch.zeros(1, 4, 2, 2, requires_grad=True)
    compositing.unpremultiply(rgba).sum().backward()
    assert torch.isfinite(rgba.grad).all()


def test_over_of_an_opaque_and_of_a_clear_layer():
    front, back = layer(1), layer(2)
    opaque, clear = front.clone(), torch.zeros_like(front)
    opaque[:, 3] = 1
    assert torch.equal(compositing.over(opaque, back), opaque)
    assert torch.equal(compositing.over(clear, back), back)
    assert torch.equal(compositing.over(front, clear), front)


def test_over_is_associative_and_not_commutative():
    a, b, c = layer(1), layer(2), layer(3)
    over = compositing.over
    assert torch.allclose(over(over(a, b), c), over(a, over(b, c)), atol=1e-14)
    assert not torch.allclose(over(a, b), over(b, a), atol=0.1)


def test_over_on_an_opaque_back_is_a_weighted_mean_of_straight_colours():
    straight, back = rand(2, 4, 3, 3, seed=1), rand(2, 4, 3, 3, seed=2)
    back[:, 3] = 1
    alpha = straight[:, 3:]
    result = compositing.over(compositing.premultiply(straight), back)
    assert torch.allclose(result[:, :3], alpha * straight[:, :3] + (1 - alpha) * back[:, :3])
    assert torch.allclose(result[:, 3], torch.ones_like(result[:, 3]))


def test_layers_that_add_light_are_not_clipped():
    glow, back = torch.full((1, 4, 2, 2), 0.75), torch.full((1, 4, 2, 2), 0.5)
    glow[:, 3], back[:, 3] = 0, 1
    assert torch.equal(compositing.over(glow, back)[:, :3], torch.full((1, 3, 2, 2), 1.25))


def test_one_layer_serves_many_pictures():
    assert compositing.over(layer(1)[:1], layer(2)).shape == (3, 4, 5, 6)


# --- feathering --------------------------------------------------------------------------------------------------


def edge():
    mask = torch.zeros(1, 1, 12, 20, dtype=torch.float64)
    mask[..., 10:] = 1
    return mask


@pytest.mark.parametrize("radius", [1, 2, 3.5])
def test_a_straight_edge_becomes_a_ramp_of_the_given_reach(radius):
    ramp = compositing.feather(edge(), radius)[0, 0, 6]
    reach = int(radius)
    assert (ramp[: 10 - reach] == 0).all() and torch.allclose(ramp[10 + reach :], torch.ones(10 - reach).double())
    assert (ramp[10 - reach : 10 + reach].diff() > 0).all() and ramp[10 - reach] > 0 and ramp[9 + reach] < 1
    assert torch.allclose(ramp[9] + ramp[10], torch.tensor(1.0).double())  # symmetric about the edge


def test_the_weights_of_the_window_fall_linearly():
    spot = torch.zeros(1, 1, 11, 11, dtype=torch.float64)
    spot[..., 5, 5] = 1
    line = torch.tensor([1, 2, 3, 2, 1]).double() / 9
    assert torch.allclose(compositing.feather(spot, 2)[0, 0, 3:8, 3:8], torch.outer(line, line))
    line = torch.tensor([1.5, 2.5, 1.5]).double() / 5.5
    assert torch.allclose(compositing.feather(spot, 1.5)[0, 0, 4:7, 4:7], torch.outer(line, line))


def test_beyond_the_border_the_outermost_pixels_go_on():
    mask = torch.zeros(1, 1, 6, 6, dtype=torch.float64)
    mask[..., 0] = 1
    assert torch.allclose(compositing.feather(mask, 1)[0, 0, 3], torch.tensor([3, 1, 0, 0, 0, 0]).double() / 4)


def test_feathering_keeps_a_constant_a_sum_and_the_mask_itself_at_radius_0():
    assert torch.allclose(compositing.feather(torch.ones(1, 1, 8, 8), 3), torch.ones(1, 1, 8, 8))
    spot = torch.zeros(1, 1, 15, 15, dtype=torch.float64)
    spot[..., 7, 7] = 1
    assert math.isclose(compositing.feather(spot, 3).sum().item(), 1.0)
    assert torch.equal(compositing.feather(edge(), 0), edge())


def test_feathering_is_the_same_in_rows_and_columns():
    mask = rand(1, 1, 9, 9)
    assert torch.allclose(compositing.feather(mask.mT, 2), compositing.feather(mask, 2).mT)


# --- the Poisson equation ----------------------------------------------------------------------------------------


def neighbours(y, x, height, width):
    return [
        (y + dy, x + dx)
        for dy, dx in ((0, 1), (1, 0), (0, -1), (-1, 0))
        if 0 <= y + dy < height and 0 <= x + dx < width
    ]


def dense_blend(source, target, mask, mixed=False):
    """One picture (C, H, W), pixel by pixel, by numpy's dense solver."""
    channels, height, width = target.shape
    places = [tuple(p) for p in np.argwhere(mask[0].numpy() > 0.5)]
    result = target.clone()
    for c in range(channels):
        matrix, right = np.zeros((len(places), len(places))), np.zeros(len(places))
        for i, p in enumerate(places):
            for q in neighbours(*p, height, width):
                v, own = source[(c, *p)] - source[(c, *q)], target[(c, *p)] - target[(c, *q)]
                matrix[i, i] += 1
                right[i] += own if mixed and abs(own) > abs(v) else v
                if q in places:
                    matrix[i, places.index(q)] -= 1
                else:
                    right[i] += target[(c, *q)]
        for p, value in zip(places, np.linalg.solve(matrix, right), strict=True):
            result[(c, *p)] = value
    return result


@pytest.mark.parametrize("guidance", ["source", "mixed"])
def test_blending_agrees_with_a_dense_solve_for_masks_of_any_form(guidance):
    source, target, masks = rand(6, 3, 9, 11, seed=1), rand(6, 3, 9, 11, seed=2), blob_masks()
    result = compositing.poisson_blend(source, target, masks, guidance)
    for n in range(6):
        expected = dense_blend(source[n], target[n], masks[n], mixed=guidance == "mixed")
        assert torch.allclose(result[n], expected, atol=1e-10), n


def test_the_defining_equation_laplacian_of_the_source_inside_target_outside():
    source, target, masks = rand(6, 2, 9, 11, seed=1), rand(6, 2, 9, 11, seed=2), blob_masks()
    result = compositing.poisson_blend(source, target, masks)
    inside = masks[:, 0] > 0.5
    assert torch.equal(result.movedim(1, -1)[~inside], target.movedim(1, -1)[~inside])

    def laplacian(x):
        return 4 * x[..., 1:-1, 1:-1] - x[..., 2:, 1:-1] - x[..., :-2, 1:-1] - x[..., 1:-1, 2:] - x[..., 1:-1, :-2]

    within = inside[:, 1:-1, 1:-1]
    assert torch.allclose(
        laplacian(result).movedim(1, -1)[within], laplacian(source).movedim(1, -1)[within], atol=1e-10
    )


def test_the_result_has_the_least_squared_difference_from_the_sources_gradients():
    source, target, mask = rand(1, 1, 9, 11, seed=1), rand(1, 1, 9, 11, seed=2), blob_masks()[3:4]

    def energy(f):
        rows, columns = ((f - source).diff(dim=2), (f - source).diff(dim=3))
        return rows.square().sum() + columns.square().sum()

    best = compositing.poisson_blend(source, target, mask)
    for seed in range(5):
        assert energy(best) < energy(best + 0.05 * mask * (rand(1, 1, 9, 11, seed=seed) - 0.5))


def test_adding_a_constant_to_the_source_changes_nothing_and_blending_with_oneself_neither():
    source, target, masks = rand(6, 3, 9, 11, seed=1), rand(6, 3, 9, 11, seed=2), blob_masks()
    plain = compositing.poisson_blend(source, target, masks)
    assert torch.allclose(compositing.poisson_blend(source + 0.7, target, masks), plain, atol=1e-10)
    assert torch.allclose(compositing.poisson_blend(target, target, masks), target, atol=1e-10)


def test_many_pictures_in_groups_give_what_they_give_alone(monkeypatch):
    source, target, masks = rand(6, 3, 9, 11, seed=1), rand(6, 3, 9, 11, seed=2), blob_masks()
    together = compositing.poisson_blend(source, target, masks)
    monkeypatch.setattr(compositing, "UNKNOWNS_AT_A_TIME", 100)
    assert torch.allclose(compositing.poisson_blend(source, target, masks), together, atol=1e-12)
    one_source = compositing.poisson_blend(source[:1], target, masks)
    assert torch.allclose(one_source[2], dense_blend(source[0], target[2], masks[2]), atol=1e-10)
    one_target = compositing.poisson_blend(source, target[:1], masks)
    assert torch.allclose(one_target[2], dense_blend(source[2], target[0], masks[2]), atol=1e-10)


def test_an_empty_mask_and_bools_and_float32():
    source, target = rand(2, 3, 9, 11, seed=1).float(), rand(2, 3, 9, 11, seed=2).float()
    mask = torch.zeros(2, 1, 9, 11, dtype=torch.bool)
    assert torch.equal(compositing.poisson_blend(source, target, mask), target)
    mask[1, :, 2:5, 2:5] = True
    result = compositing.poisson_blend(source, target, mask)
    assert result.dtype == torch.float32 and torch.equal(result[0], target[0])
    assert not torch.equal(result[1], target[1])


def test_inside_is_where_the_mask_is_above_one_half():
    source, target, soft = rand(1, 2, 9, 11, seed=1), rand(1, 2, 9, 11, seed=2), torch.zeros(1, 1, 9, 11)
    soft[..., 1:8, 1:8], soft[..., 2:7, 2:7], soft[..., 3:6, 3:6] = 0.2, 0.5, 0.51
    assert torch.equal(
        compositing.poisson_blend(source, target, soft), compositing.poisson_blend(source, target, soft > 0.505)
    )


def test_a_hole_in_a_plane_is_filled_with_the_plane():
    y, x = torch.meshgrid(torch.arange(9.0), torch.arange(11.0), indexing="ij")
    plane = (0.02 * x + 0.05 * y + 0.1).expand(1, 2, 9, 11).double()
    hole = blob_masks()[:1]
    filled = compositing.fill_smoothly(torch.where(hole > 0, 9.0, plane), hole)
    assert torch.allclose(filled, plane, atol=1e-10)


def test_a_filled_hole_stays_between_the_values_at_its_edge():
    picture, masks = rand(6, 3, 9, 11), blob_masks()
    filled = compositing.fill_smoothly(picture, masks)
    assert filled.min() >= picture.min() and filled.max() <= picture.max()
    assert filled[4].movedim(0, -1).reshape(-1, 3).std(0).max() < 1e-10  # held by one pixel: flat


# --- alignment ---------------------------------------------------------------------------------------------------


def test_the_constants_of_the_face_are_the_renderers():
    width = torch.tensor([-1.0, 0.0, 0.5, 1.0])
    drawn = faces._face_width({"face_width": width})
    assert torch.allclose(drawn, faces.HALF_WIDTH + faces.WIDENING * width)


def in_pose(factors, pose, *names):
    """The factors, with the named ones of another portrait."""
    return faces.with_factors(factors, **{name: pose[:, faces.index(name)] for name in names})


@pytest.mark.parametrize("parts, pose", [(("eyes", "mouth", "brows"), ("tilt",)), (("hair",), ("tilt", "face_width"))])
def test_an_aligned_part_is_near_the_part_drawn_in_the_other_pose(parts, pose):
    old = faces.with_factors(faces.sample(30, seed=5), glasses=0.0, hair_texture=0.0)
    new = in_pose(old, faces.sample(30, seed=6), *pose)
    before, truth = (sum(faces.masks(f, 128)[part] for part in parts) for f in (old, new))
    after = compositing.align(before, old, new)
    assert (after - truth).abs().mean() < 0.3 * (before - truth).abs().mean()
    picture, drawn = (faces.render(f, 128).float() / 255 for f in (old, new))
    inside = (truth > 0.99).expand_as(drawn)
    errors = [(x - drawn)[inside].square().mean() for x in (compositing.align(picture, old, new), picture)]
    assert errors[0] < 0.3 * errors[1]


def test_aligning_to_its_own_pose_is_the_identity_and_there_and_back_nearly():
    factors, other = faces.sample(4, seed=1), faces.sample(4, seed=2)
    smooth = torch.nn.functional.interpolate(rand(4, 3, 5, 5), size=(64, 64), mode="bicubic").clamp(0, 1)
    assert torch.allclose(compositing.align(smooth, factors, factors), smooth, atol=1e-5)
    back = compositing.align(compositing.align(smooth, factors, other), other, factors)
    assert (back - smooth)[..., 20:44, 20:44].abs().max() < 0.05


def test_what_comes_from_beyond_the_border_is_the_outermost_pixels():
    upright = faces.with_factors(faces.sample(1), tilt=0.0, face_width=0.0)
    turned = faces.with_factors(upright, tilt=1.0, face_width=-1.0)
    grey = torch.full((1, 3, 32, 32), 0.6)
    assert torch.allclose(compositing.align(grey, upright, turned), grey, atol=1e-6)


def test_a_positive_tilt_moves_the_top_of_the_head_to_the_right():
    upright = faces.with_factors(faces.sample(1), tilt=0.0, face_width=0.0)
    spot = torch.zeros(1, 1, 64, 64)
    spot[..., 8:12, 31:33] = 1
    moved = compositing.align(spot, upright, faces.with_factors(upright, tilt=1.0))
    columns = torch.arange(64.0)
    assert (moved.sum((0, 1, 2)) * columns).sum() / moved.sum() > 40
    wider = compositing.align(spot, upright, faces.with_factors(upright, face_width=1.0))
    assert 1.05 < wider.sum() / spot.sum() < 1.25


# --- codes from parts --------------------------------------------------------------------------------------------


def linear_vae(sigma=0.3, dims=3):
    """x = W z + b + sigma eps, whose posteriors are known; the encoder says N(0, e^-2 I) to everything."""
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(dims, 12), nn.Unflatten(1, (1, 3, 4)))
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 2 * dims))
    nn.init.zeros_(encoder[1].weight)
    with torch.no_grad():
        encoder[1].bias.copy_(torch.tensor([0.0] * dims + [-2.0] * dims))
        decoder[0].weight.mul_(3)
    return VAE(encoder, decoder, GaussianLikelihood(sigma), dims)


def exact_posterior(model, sources, masks):
    """Mean (N, D) and precision (N, D, D) of p(z | chosen pixels) of the linear model."""
    w, b = model.decoder[0].weight.detach(), model.decoder[0].bias.detach()
    precision = torch.eye(w.shape[1]).expand(len(sources[0]), -1, -1)
    right = torch.zeros(len(sources[0]), w.shape[1])
    for x, m in zip(sources, masks, strict=True):
        chosen = m.float().expand(len(x), -1, -1, -1).flatten(1) / model.likelihood.sigma.item() ** 2
        precision = precision + torch.einsum("nd,di,dj->nij", chosen, w, w)
        right = right + (chosen * (x.flatten(1) - b)) @ w
    return torch.linalg.solve(precision, right), precision


def two_sources():
    left = torch.zeros(1, 1, 3, 4)
    left[..., :2] = 1
    return [rand(5, 1, 3, 4, seed=1).float(), rand(5, 1, 3, 4, seed=2).float()], [left, 1 - left]


def test_the_inferred_code_is_the_exact_posterior_of_a_linear_model():
    model, (sources, masks) = linear_vae(), two_sources()
    masks[1][..., 0, 3] = 0
    masks[0][..., 0, :2] = masks[1][..., 0, 1:3] = 0.3  # half-hearted, and one pixel chosen in both
    q = compositing.infer_code(model, sources, masks, steps=1500, learning_rate=0.05)
    mean, precision = exact_posterior(model, sources, masks)
    assert torch.allclose(q.mean, mean, atol=0.05)
    # of the best diagonal Gaussian: one over the diagonal of the precision
    assert torch.allclose(q.variance, 1 / precision.diagonal(dim1=1, dim2=2), rtol=0.25)


def test_pixels_outside_all_masks_do_not_matter_beyond_the_start():
    model, (sources, masks) = linear_vae(), two_sources()
    masks[0][..., 0, 0] = 0
    changed = [x.clone() for x in sources]
    changed[0][..., 0, 0] = 0.123
    changed[1][..., 2, 1] = 0.987  # the other source's region
    a, b = (compositing.infer_code(model, x, masks) for x in (sources, changed))
    assert torch.equal(a.mean, b.mean)


def test_a_source_of_more_weight_pulls_harder_and_three_sources_are_welcome():
    model, (sources, _) = linear_vae(), two_sources()
    ones = torch.ones(1, 1, 3, 4)

    def distance(weight):
        q = compositing.infer_code(model, sources, [ones, weight * ones], steps=300)
        return (model.decode(q.mean).mean - sources[0]).square().mean().item()

    assert distance(0.05) < distance(1.0)
    third = [*sources, rand(5, 1, 3, 4, seed=3).float()]
    assert compositing.infer_code(model, third, [ones] * 3).mean.shape == (5, 3)


def test_the_inference_is_seeded_leaves_torchs_state_and_the_weights_alone():
    model, (sources, masks) = linear_vae(), two_sources()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    with torch.no_grad():
        first = compositing.infer_code(model, sources, masks)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.mean, compositing.infer_code(model, sources, masks).mean)
    assert not torch.equal(first.mean, compositing.infer_code(model, sources, masks, seed=1).mean)
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert not first.mean.requires_grad


def test_small_batches_find_the_same_code():
    model, (sources, _) = linear_vae(), two_sources()
    masks = [(rand(5, 1, 3, 4, seed=s) < 0.6).float() for s in (8, 9)]  # each picture its own
    whole, parts = (compositing.infer_code(model, sources, masks, steps=600, batch_size=b) for b in (5, 2))
    assert torch.allclose(whole.mean, parts.mean, atol=0.05)


def test_the_bound_is_better_than_at_the_start():
    model, (sources, masks) = linear_vae(), two_sources()

    def bound(q):
        torch.manual_seed(0)
        p = model.decode(q.rsample((200,))).base_dist
        fit = sum((m * p.log_prob(x)).flatten(2).sum(2).mean(0) for x, m in zip(sources, masks, strict=True))
        return fit - kl_divergence(q, standard_normal(3))

    with torch.no_grad():
        start = diagonal_gaussian(torch.zeros(5, 3), torch.full((5, 3), -2.0))
        assert (bound(compositing.infer_code(model, sources, masks)) > bound(start) + 1).all()


def test_the_start_is_the_sources_pasted_by_their_masks_and_the_rest_filled():
    (sources, masks) = two_sources()
    masks[1][..., 1, 2:] = 0
    start = compositing._pasted(sources, masks)
    assert torch.equal(start[..., :2], sources[0][..., :2])
    assert torch.equal(start[..., 0, 2:], sources[1][..., 0, 2:])
    hole = 1 - masks[0] - masks[1]
    assert torch.allclose(start, compositing.fill_smoothly(start * (1 - hole), hole))
    both = compositing._pasted(sources, [torch.ones(1, 1, 3, 4), 3 * torch.ones(1, 1, 3, 4) / 3])
    assert torch.allclose(both, (sources[0] + sources[1]) / 2)
    faint = compositing._pasted(sources, [0.1 * m for m in masks])  # little is said here, but more than nothing
    assert torch.allclose(faint, start)


def test_the_inference_starts_at_the_encoding_of_the_start():
    model, (sources, masks) = linear_vae(), two_sources()
    nn.init.normal_(model.encoder[1].weight)
    start = rand(5, 1, 3, 4, seed=7).float()
    q = compositing.infer_code(model, sources, masks, start=start, steps=1, learning_rate=1e-7)
    encoded = model.encode(start)
    assert torch.allclose(q.mean, encoded.mean, atol=1e-5) and torch.allclose(q.stddev, encoded.stddev, rtol=1e-4)


def test_the_rate_falls_linearly_from_the_given_one(monkeypatch):
    rates = []
    monkeypatch.setattr(torch.optim.Adam, "step", lambda self: rates.append(self.param_groups[0]["lr"]))
    compositing.infer_code(linear_vae(), *two_sources(), steps=5, learning_rate=0.1)
    assert len(rates) == 5 and rates[0] == 0.1 and 0 < rates[-1] < 0.03
    assert np.allclose(np.diff(rates), rates[1] - rates[0])


def test_other_likelihoods_work():
    model = linear_vae()
    model.likelihood = BernoulliLikelihood()
    sources, masks = two_sources()
    q = compositing.infer_code(model, [x.round() for x in sources], masks)
    assert torch.isfinite(q.mean).all()


# --- attributes --------------------------------------------------------------------------------------------------


def test_a_linear_dependence_is_found_and_edits_keep_the_rest():
    factors, other = faces.sample(300, seed=1), faces.sample(300, seed=2)
    slopes = rand(14, 4).float()
    rest = 0.1 * torch.randn(300, 4, generator=torch.Generator().manual_seed(0))
    codes = factors @ slopes + 2 + rest
    attributes = compositing.fit_attributes(codes, factors, "linear", ridge=0.0)
    assert torch.allclose(attributes.predict(other), other @ slopes + 2, atol=0.15)
    edited = attributes.edit(codes, factors, other)
    assert torch.allclose(edited - codes, (other - factors) @ slopes, atol=0.25)
    assert torch.allclose(attributes.edit(codes, factors, factors), codes, atol=1e-5)
    there = attributes.edit(attributes.edit(codes, factors, other), other, factors)
    assert torch.allclose(there, codes, atol=1e-4)


def test_knots_follow_a_bent_path_and_products_a_path_that_depends_on_another_factor():
    factors, new = faces.sample(4000, seed=1), faces.sample(500, seed=2)

    def bent(f):
        return torch.stack([(f[:, 1] * 5 - 2).abs(), (f[:, 12] * 2.5).sin()], 1)

    def tied(f):
        return (f[:, 1] * f[:, 11])[:, None]

    def error(of, features):
        fitted = compositing.fit_attributes(of(factors), factors, features, ridge=0.1)
        return ((fitted.predict(new) - of(new)).square().mean() / of(new).var()).item()

    assert error(bent, "linear") > 0.1 and error(bent, "knots") < 0.02
    assert error(tied, "knots") > 0.1 and error(tied, "products") < 0.02


def test_the_tents_stand_on_knots_in_equal_steps_and_sum_to_one():
    place = torch.tensor([0.0, 0.1, 0.2, 0.5, 1.0])
    factors = faces.with_factors(faces.sample(5), skin=place)
    skin = compositing._knots(factors)[:, :6]
    wanted = [
        [1, 0, 0, 0, 0, 0],
        [0.5, 0.5, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0],
        [0, 0, 0.5, 0.5, 0, 0],
        [0, 0, 0, 0, 0, 1],
    ]
    assert torch.allclose(skin, torch.tensor(wanted).float(), atol=1e-5)
    products = compositing._products(factors).view(5, 84, 15)  # each tent times each factor, and by itself
    assert torch.equal(products[..., -1], compositing._knots(factors))


def test_the_ridge_counts_against_the_sum_of_squared_errors():
    """The same by ordinary least squares: for each slope one more row, that asks for sqrt(ridge) slope = 0."""
    factors, new, codes = faces.sample(30, seed=1), faces.sample(10, seed=2), rand(30, 2)
    low, high = faces.ranges(codes)
    x, x_new = (2 * (f - low) / (high - low) - 1 for f in (factors, new))
    rows = torch.nn.functional.pad(torch.cat([x, 7**0.5 * torch.eye(14)]), (0, 1))
    rows[:30, -1] = 1
    weights = torch.linalg.lstsq(rows, torch.cat([codes, torch.zeros(14, 2)])).solution
    fitted = compositing.fit_attributes(codes, factors, "linear", ridge=7.0)
    assert torch.allclose(fitted.predict(new), x_new @ weights[:-1] + weights[-1], atol=1e-6)


def test_a_ridge_shrinks_the_slopes_and_not_the_mean():
    factors = faces.sample(200, seed=1)
    codes = factors @ rand(14, 2).float() + 5
    loose, tight = (compositing.fit_attributes(codes, factors, "linear", ridge=r) for r in (0.0, 1e6))
    assert loose.predict(factors).std() > 100 * tight.predict(factors).std(0).max()
    assert torch.allclose(tight.predict(factors).mean(0), codes.mean(0), atol=1e-3)


# --- what is wrong is said ---------------------------------------------------------------------------------------


X, M = torch.rand(2, 3, 8, 8), torch.ones(2, 1, 8, 8)
HALF = torch.zeros(2, 1, 8, 8)
HALF[..., :4] = 1
NAN = torch.full_like(X, math.nan)
F14 = faces.sample(2)
CODES = torch.zeros(2, 3)
BAD = {
    "no tensor": (lambda: compositing.feather([[1]], 1), TypeError, "mask must be a floating-point tensor"),
    "uint8": (lambda: compositing.align(X.byte(), F14, F14), TypeError, "pictures must .* uint8"),
    "one picture": (lambda: compositing.fill_smoothly(X[0], HALF), ValueError, r"image\[None\]"),
    "no alpha": (lambda: compositing.over(X, X), ValueError, r"front must have shape \(N, 4, H, W\).*alpha"),
    "alpha above 1": (lambda: compositing.premultiply(torch.full((1, 4, 2, 2), 2.0)), ValueError, "alpha of rgba"),
    "sizes of layers": (
        lambda: compositing.over(torch.rand(1, 4, 3, 3), torch.rand(1, 4, 4, 4)),
        ValueError,
        "front .* and back .* one size",
    ),
    "radius": (lambda: compositing.feather(M, -1), ValueError, "radius must .* not -1"),
    "radius NaN": (lambda: compositing.feather(M, math.nan), ValueError, "radius must .* not nan"),
    "radius too large": (lambda: compositing.feather(M, 9), ValueError, "0 to 8"),
    "mask of three channels": (lambda: compositing.feather(X, 1), ValueError, r"mask must have shape \(N, 1, H, W\)"),
    "mask above one": (lambda: compositing.feather(3 * M, 1), ValueError, "mask must lie in"),
    "NaN": (lambda: compositing.poisson_blend(NAN, X, HALF), ValueError, "source holds 384 values that are NaN"),
    "sizes": (lambda: compositing.poisson_blend(X[..., :4], X, HALF), ValueError, "source .* and target"),
    "channels": (lambda: compositing.poisson_blend(X[:, :1], X, HALF), ValueError, "source has 1 channels"),
    "mask's size": (lambda: compositing.poisson_blend(X, X, HALF[..., :5]), ValueError, "mask has shape"),
    "masks' number": (lambda: compositing.poisson_blend(X, X, HALF[[0, 1, 1]]), ValueError, "mask has shape"),
    "all of it": (lambda: compositing.poisson_blend(X, X, M), ValueError, "covers the whole of picture 0"),
    "guidance": (lambda: compositing.poisson_blend(X, X, HALF, "both"), ValueError, "guidance must be"),
    "hole": (lambda: compositing.fill_smoothly(X, HALF[..., 1:]), ValueError, "hole has shape"),
    "not square": (lambda: compositing.align(X[..., 1:], F14, F14), ValueError, "square"),
    "rows": (lambda: compositing.align(X, F14[:1], F14), ValueError, "factors_from has 1 rows for 2"),
    "no list": (lambda: compositing.infer_code(None, X, [M]), TypeError, "pictures must be a list"),
    "no mask": (lambda: compositing.infer_code(None, [X], []), ValueError, "1 pictures and 0 masks"),
    "sources' sizes": (
        lambda: compositing.infer_code(None, [X, X[..., 1:]], [M, M]),
        ValueError,
        r"pictures\[1\] has shape",
    ),
    "source's mask": (lambda: compositing.infer_code(None, [X], [M[..., 1:]]), ValueError, r"masks\[0\] has shape"),
    "nothing chosen": (lambda: compositing.infer_code(None, [X, X], [0 * M] * 2), ValueError, "no pixel at all"),
    "NaN source": (lambda: compositing.infer_code(None, [NAN], [M]), ValueError, r"pictures\[0\] holds"),
    "steps": (lambda: compositing.infer_code(None, [X], [M], steps=0), ValueError, "steps must"),
    "rate": (lambda: compositing.infer_code(None, [X], [M], learning_rate=-1), ValueError, "learning_rate must"),
    "start": (lambda: compositing.infer_code(None, [X], [M], start=X[:1]), ValueError, "start has shape"),
    "codes": (lambda: compositing.fit_attributes([1], F14), TypeError, "codes must"),
    "codes and factors": (lambda: compositing.fit_attributes(CODES[:1], F14), ValueError, "codes has 1 rows"),
    "NaN codes": (lambda: compositing.fit_attributes(CODES / 0, F14), ValueError, "codes holds 6 values"),
    "features": (lambda: compositing.fit_attributes(CODES, F14, "cubic"), ValueError, "features must be one of"),
    "ridge": (lambda: compositing.fit_attributes(CODES, F14, ridge=-1), ValueError, "ridge must"),
    "undetermined": (lambda: compositing.fit_attributes(CODES, F14, ridge=0), ValueError, "undetermined"),
    "codes' length": (
        lambda: compositing.fit_attributes(CODES, F14).edit(CODES[:, :2], F14, F14),
        ValueError,
        r"z must have shape \(N, 3\)",
    ),
    "edit's rows": (
        lambda: compositing.fit_attributes(CODES, F14).edit(CODES, F14[:1], F14),
        ValueError,
        "factors_from has 1 rows for 2 codes",
    ),
}


@pytest.mark.parametrize("call, kind, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
