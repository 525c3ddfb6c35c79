"""What is wrong with this VAE? Checks that need the model, pictures and, where there is one, the History of training.

Each check measures something that holds in every healthy model, whatever its pictures and its layers, and compares it
with a bound. Where it is broken the report names the disease, with the evidence, what it means and what to do. The
bounds were chosen on digits and portraits; `benchmarks/clinic.py` measures how often they are right elsewhere.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vae_helpers import checking
from vae_helpers.data.dataset import Dataset
from vae_helpers.devices import forked_random_state
from vae_helpers.distributions.gaussian import kl_by_latent
from vae_helpers.evaluation.balance import kl_price
from vae_helpers.evaluation.bounds import evaluate
from vae_helpers.evaluation.case import Case, Skipped, of_numbers
from vae_helpers.evaluation.codes import ActiveUnits, aggregate_posterior, kl_decomposition
from vae_helpers.evaluation.diseases import Diagnosis, Finding
from vae_helpers.evaluation.neighbours import fingerprints, nearest
from vae_helpers.models.protocol import checked_data, evaluating, modes_kept
from vae_helpers.training.history import History

FAR_OUT = 18.0  # |log_var|: its exponential is 7e7 or 1e-8, and float32 loses the smaller beside a mean of 1
LARGE = 20.0  # of an input: pictures in [0, 1], or of mean 0 and variance 1, stay far below
JUMP = 0.5  # of all that the loss has fallen
NOISE = 4.0  # times what neighbouring records usually differ by: where little falls, noise is no jump
DEAD = 0.9  # of the units of a layer; with ReLU half of them are no rarity
WRONG_PRICE = 1.67  # times too much, or too little
AT_REST = 200  # steps, before which no training is: where the decoder's spread still falls, a nat costs up to 3
NO_REST = "not positive: training has not come to rest"
SURE = 0.1  # of a price, its standard error; where codes fall silent that of the noise grows beyond it
HALF_PRICE = 1.5  # between noise and means, times
NEAR = 1.15  # times what a confusion of log_var and log_std makes the noise cost
WRONG_SIGMA = 1.5  # times the error, or below it
WORSE_IN_EVAL = 1.25  # squared error in eval mode, times that in training mode
LEAKS = 0.02  # of a code, from the other pictures of a batch; TF32 and bfloat16 leave a few thousandths
IGNORED = 0.01  # of the pictures' variance that codes decide
KNOWN = 0.005  # of the held-out pictures that the training set has, too
TOO_NEAR = 0.1  # of the held-out pictures nearer to the training set than all but a hundredth of itself
NOISELESS = 0.5  # of the decoder's noise that sample() has
GAP = 1.0  # of what the code says, in nats
TURNED = 0.1  # of all that the validation loss had fallen
COPIES = 0.5  # of the samples
COPY = 0.5  # of the distance to the second nearest picture
USED = 0.1  # of a codebook
TERMS = ("loss", "elbo", "distortion", "kl", "grad_norm")  # of a loss that is distortion + beta KL
WINS, GUESSES = 0.97, 0.53  # shares of pictures that a critic tells rightly
ACTIVATIONS = (
    nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ReLU6, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Hardswish, nn.Tanh, nn.Sigmoid,
)  # fmt: skip


def diagnose(
    model: Any,
    data: Dataset | Tensor | Sequence[Tensor],
    history: History | None = None,
    *,
    held_out: Tensor | Sequence[Tensor] | None = None,
    beta: float = 1.0,
    pictures: int = 500,
    seed: int = 0,
) -> Diagnosis:
    """A report on the health of a trained VAE: what is wrong, by which evidence, and what to do.

    Args:
        model: a VAE of the protocol (encode, decode, prior), whatever trained it. A `VQVAE`, a hierarchy or a model
            with a prior of its own has fewer checks. It is left as it is, and so is the random state.
        data: what it was trained on, `uint8` images or (images, *conditions); or a `Dataset`, whose training and
            validation splits are taken.
        history: of its training, as `fit` returns it: the loss, the gradient, a critic's share of right answers.
        held_out: pictures that it was not trained on, in the same form as `data`.
        beta: the weight that the KL was meant to have.
        pictures: how many of each are looked at (duplicates and copies are sought among all).
        seed: of all draws.
    Returns:
        Diagnosis: print it; `healthy`, `names`, `findings`, `measured`, `skipped`, `to_dict()`.
    Raises:
        TypeError, ValueError: not such data, fewer than 20 pictures, or a model with neither latent variables nor a
            codebook, or one whose encode and decode do not return distributions. Whatever the model raises.
    """
    seen, others = _parts(data, held_out)
    pictures = checking.integer(pictures, "pictures", 20)
    case = Case(model, seen, others, _checked(history), checking.positive(beta, "beta"), pictures, checking.seed(seed))
    checks = _checks_for(model)
    report = Diagnosis(measured=case.measured, checks=len(checks))
    with forked_random_state(), evaluating(model), torch.no_grad():
        for name, check in checks.items():
            torch.manual_seed(seed)
            try:
                report.findings += check(case)
            except Skipped as why:
                report.skipped[name] = str(why)
            except Exception as error:
                if isinstance(error, NotImplementedError) and name != "numbers":  # where encode and decode are met
                    report.skipped[name] = "one of the model's distributions does not know its mean"
                elif isinstance(error, ValueError) and "numbers overflow" in report.names:
                    report.skipped[name] = f"numbers overflow: {_first_line(error)}"
                else:
                    error.add_note(f"This happened in the check {name!r} of diagnose.")
                    raise
            if name == "numbers" and "largest |log_var|" not in case.measured and report.findings:
                report.skipped["all else"] = "numbers that are not finite say nothing"
                break
        else:
            report.pictures = _shown(case)
    report.findings.sort(key=lambda finding: finding.place)
    return report


def _shown(case: Case, n: int = 8) -> dict[str, Tensor]:
    """Some pictures, what the model makes of them, and means at draws of the prior; none where it can make none."""
    if not _has_codes(case.model) or case.x.dim() != 4:
        return {}
    shown = {"pictures": case.pictures[:n]}
    with contextlib.suppress(Skipped, NotImplementedError, ValueError):
        conditions = [c[:n] for c in case.conditions]
        z = case.model.encode(case.x[:n], *conditions).mean
        shown["reconstructions"] = case.model.decode(z, *conditions).mean
        shown["drawn from the prior"] = case.drawn[0][:n]
    low, high = min(0.0, shown["pictures"].min().item()), max(1.0, shown["pictures"].max().item())  # or -1, or 255
    return {
        name: ((torch.nan_to_num(pictures) - low) / (high - low)).clamp(0, 1).cpu() for name, pictures in shown.items()
    }


def _numbers(case: Case) -> Iterator[Finding]:
    """NaN and infinity in weights and records, and log-variances that are far out."""
    broken = [name for name, p in case.model.named_parameters() if not torch.isfinite(p).all()]
    if broken:
        yield Finding("numbers overflow", f"{len(broken)} parameters hold NaN or infinity, {broken[0]} first")
        return
    losses = [values for name, values in case.recorded.items() if name.rpartition(".")[2] == "loss" and values]
    lost = [case.history.step[k] for values in losses for k, loss in enumerate(values) if math.isinf(loss)]
    if lost:
        yield Finding("numbers overflow", f"the loss was infinite at step {min(lost)}")
        return
    if losses and all(math.isnan(values[-1]) for values in losses):  # before, a phase may not have begun
        yield Finding("numbers overflow", f"the loss was NaN at the last step, {case.history.step[-1]}")
        return
    if not _has_codes(case.model):
        return
    case.meet()
    try:
        q = case.posterior
    except ValueError as error:
        if not of_numbers(error):
            raise
        yield Finding("numbers overflow", f"q(z | x) is no distribution: {_first_line(error)}")
        return
    log_var = 2 * q.base_dist.scale.log()
    furthest = log_var.abs().max().item()
    if math.isinf(furthest):
        yield Finding("numbers overflow", "log_var is infinite")
        return
    case.note("largest |log_var|", furthest)
    if furthest >= FAR_OUT:
        share = _share(log_var.abs() >= FAR_OUT)
        yield Finding(
            "numbers overflow", f"|log_var| is up to {furthest:.3g}, {share:.0%} of all at {FAR_OUT:g} or more"
        )


def _scale(case: Case) -> Iterator[Finding]:
    """How large the numbers are that the first layer sees."""
    seen: list[float] = []  # by one layer after the other, as they are called

    def see(_: str, inputs: tuple[Tensor, ...], __: Any) -> None:
        seen.append(inputs[0].abs().max().item())

    with _watching(case.model, nn.Linear | nn.Conv2d, see):
        case.model.encode(case.x[:100], *(c[:100] for c in case.conditions))
    if not seen:
        raise Skipped("the encoder has no dense or convolutional layer")
    largest = case.note("largest number that the first layer sees", seen[0])
    if largest > LARGE:
        yield Finding("pictures out of scale", f"the first layer sees numbers up to {largest:.3g}")


def _sharing(case: Case) -> Iterator[Finding]:
    """The same weights at several places."""
    places, calls = defaultdict(list), Counter()
    for name, module in case.model.named_modules(remove_duplicate=False):
        for own, p in module._parameters.items():
            places[id(p)].append((f"{name}.{own}" if name else own, module))

    def see(name: str, _: Any, __: Any) -> None:
        calls[case.model.get_submodule(name)] += 1

    if _has_codes(case.model):
        with _watching(case.model, nn.Module, see):
            case.rebuild(2)
    shared = [
        [name for name, _ in places[id(p)]]
        for p in case.model.parameters()
        if len(places[id(p)]) > 1
        and (not calls or sum(calls[module] for module in {module for _, module in places[id(p)]}) > 1)
    ]
    case.note("weights at several places", len(shared))
    if shared:
        first = " = ".join(shared[0][:4])
        yield Finding("layers share their weights", f"{len(shared)} tensors stand at several places: {first}")


def _modes(case: Case) -> Iterator[Finding]:
    """Codes that depend on the rest of the batch, noise that eval() switches off, a model that is worse in eval()."""
    model, x, conditions = case.model, case.x[:200], [c[:200] for c in case.conditions]
    q = model.encode(x, *conditions)
    few = model.encode(x[:5], *(c[:5] for c in conditions))
    leak = (few.mean - q.mean[:5]).abs().max() / q.mean.std().clamp_min(1e-6)
    case.note("code moved by the rest of the batch", leak.item())
    noise, here = _noise(q), case.mean_of(model.decode(q.mean, *conditions))
    with _in_training(model):
        noise_in_training = _noise(model.encode(x, *conditions))
        there = case.mean_of(model.decode(model.encode(x, *conditions).mean, *conditions))
    x = case.pictures[:200]
    worse = ((here - x).square().mean() / (there - x).square().mean()).item()
    case.note("squared error in eval(), times that in train()", worse)
    if leak > LEAKS:
        yield Finding(
            "the batch or the mode matters", f"a code moves by {leak:.2g} standard deviations with its batch, in eval()"
        )
    elif noise < 1e-3 * noise_in_training:
        yield Finding(
            "the batch or the mode matters",
            f"the codes' sigma is {noise:.2g} in eval(), {noise_in_training:.2g} in train()",
        )
    elif not worse < WORSE_IN_EVAL:
        yield Finding(
            "the batch or the mode matters", f"the squared error in eval() is {worse:.3g} times that in train()"
        )


@contextlib.contextmanager
def _in_training(model: nn.Module) -> Iterator[None]:
    """The model in training mode inside; its running statistics and modes are afterwards what they were."""
    kept = [
        (m._buffers, name, b, b.clone()) for m in model.modules() for name, b in m._buffers.items() if b is not None
    ]
    with modes_kept(model):
        model.train()
        try:
            yield
        finally:
            for buffers, name, buffer, value in kept:
                buffers[name] = buffer.copy_(value)


def _noise(q: Distribution) -> float:
    """The root mean square of the standard deviations of q, whose variance need not be known, from pairs of draws."""
    return ((q.sample() - q.sample()).square().mean() / 2).sqrt().item()


def _middle(case: Case) -> Iterator[Finding]:
    """What the code zero is painted as."""
    if case.conditions:
        raise Skipped("the model wants conditions, and the code zero has none")
    middle = case.model.decode(torch.zeros_like(case.model.prior.sample((2,)))).mean[0]  # two: for batch statistics
    flat = case.note("spread of the picture of code 0", middle.std().item())
    mean_picture = case.pictures.mean(0).std().item()
    bare = [name for name, m in case.model.named_modules() if getattr(m, "bias", 0) is None and hasattr(m, "weight")]
    if flat < 1e-4 * mean_picture:
        evidence = f"the code 0 is painted as one flat value, {middle.mean():.3g}"
        yield Finding("no biases", evidence + (f"; {len(bare)} layers have no bias, {bare[0]} first" if bare else ""))


def _splits(case: Case) -> Iterator[Finding]:
    """Held-out pictures that are, or nearly are, in the training set."""
    case.check_held_out()
    known, theirs = set(case.fingerprints), fingerprints(case.all_held_out[0])
    copied = case.note("held-out pictures in the training set", sum(one in known for one in theirs) / len(theirs))
    some = torch.cat([part[0].to(case.all_seen[0].device).float() for part in (case.seen, case.held_out)])
    among, across = nearest(some, case.all_seen[0], 2).distances.split([len(case.seen[0]), len(case.held_out[0])])
    near = _share(across[:, 0] < among[:, 1].quantile(0.01))  # of their own, the first is itself
    case.note("held-out pictures nearer than 99 % of training pictures", near)
    if copied > KNOWN:
        yield Finding(
            "held-out pictures in training", f"{copied:.1%} of the held-out pictures are in the training set, too"
        )
    elif near > TOO_NEAR:
        yield Finding(
            "held-out pictures in training",
            f"{near:.0%} of the held-out pictures are nearer to the training set than all but 1 % of its own are",
        )


def _training(case: Case) -> Iterator[Finding]:
    """Jumps of the loss, and units that are the same for all pictures."""
    found = []
    losses = torch.tensor(_bounds(case, "train"))
    losses = losses[torch.isfinite(losses)]
    if len(losses) > 20:
        best = losses.cummin(0).values
        start = len(losses) // 20
        noise = losses.diff(n=2).abs().median()  # of records, whatever their trend: 1.65 of its standard deviations
        rise = ((losses[1:] - best[:-1])[start:].max() - NOISE * noise).clamp_min(0)
        jump = (rise / (losses[0] - losses.min()).clamp_min(1e-9)).item()
        case.note("highest jump of the loss, of its fall", jump)
        if jump > JUMP:
            found.append(f"the loss once rose by {min(jump, 9.99e9):.3g} times all that it fell")
    dead = _dead_units(case)
    if dead:
        worst = max(dead, key=dead.get)
        case.note("dead units, in the worst layer", dead[worst])
        if dead[worst] >= DEAD or (found and dead[worst]):
            found.append(f"{dead[worst]:.0%} of the units of {worst} say the same of every picture")
    if found:
        yield Finding("training broke", "; ".join(found))
    elif not dead and len(losses) <= 20:
        raise Skipped("there is no history, and the model has no activation modules")


def _dead_units(case: Case) -> dict[str, float]:
    """For each activation layer the share of its units whose output hardly varies."""
    shares: dict[str, float] = {}

    def see(name: str, _: Any, output: Tensor) -> None:
        units = 2 if output.dim() == 3 else 1  # (N, D), (N, C, H, W), or tokens (N, T, D)
        scale = output.movedim(units, 0).flatten(1).std(1)
        dead = _share(scale < 1e-3 * scale.max().clamp_min(1e-12))
        shares[name] = max(dead, shares.get(name, 0.0))

    with _watching(case.model, ACTIVATIONS, see):
        case.rebuild(200)
    return shares


@contextlib.contextmanager
def _watching(model: nn.Module, kind: Any, see: Callable[[str, tuple, Any], None]) -> Iterator[None]:
    """Inside, `see(name, inputs, output)` is called after each call of a module of this kind."""
    handles = [
        module.register_forward_hook(lambda _, inputs, output, name=name: see(name, inputs, output))
        for name, module in model.named_modules()
        if isinstance(module, kind)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _price(case: Case) -> Iterator[Finding]:
    """What a nat of code cost."""
    case.check_prior()
    try:
        prices = kl_price(case.model, case.seen, 4, seed=case.seed)
    except TypeError as error:
        raise Skipped(_first_line(error)) from error
    noise, means = prices.of_noise, prices.of_means
    case.note("price of a nat, by the noise", noise.mean)
    case.note("price of a nat, by the noise, standard error", noise.standard_error)
    case.note("price of a nat, by the means", means.mean)
    case.note("price of a nat, by the means, standard error", means.standard_error)
    case.note("price by latent", prices.by_latent)
    readings = [noise, means] if _noise_is_learned(case) else [means]
    price = next((p for p in readings if p.mean > 0 and p.standard_error < SURE * p.mean), None)
    if price is None:
        below = any(p.mean < -2 * p.standard_error for p in readings)
        why = NO_REST if below else "neither reading is sure"
        if noise not in readings:
            why = "no weight moves the codes' sigma, so that the noise says nothing, and the means are not sure"
        raise Skipped(f"the price is {noise} by the noise and {means} by the means, {why}")
    case.note("price of a nat", price.mean)
    further = [name for name in case.recorded if name not in TERMS and not name.startswith("kl ")]
    if further:
        raise Skipped(
            f"the loss had further terms ({', '.join(further[:3])}), which the price, against the likelihood alone, "
            "leaves out: it need not be beta"
        )
    if case.history and case.history.step and case.history.step[-1] < AT_REST:
        raise Skipped(f"the price is {price}, but after {case.history.step[-1]} steps no training has come to rest")
    evidence = f"a nat of it costs {price.mean:.3g} ± {price.standard_error:.2g}, not {case.beta:g}"
    if price is noise and _confused(case, noise.mean / case.beta, means.mean / case.beta):
        yield Finding(
            "log_var and log_std confused", f"a nat costs {noise.mean:.3g} by the noise, {means.mean:.3g} by the means"
        )
    elif price.mean < case.beta / WRONG_PRICE:
        yield Finding("the KL weighs too little", evidence)
    elif price.mean > case.beta * WRONG_PRICE:
        if means.mean < -2 * means.standard_error:
            raise Skipped(f"the price is {noise} by the noise and {means} by the means, {NO_REST}")
        yield Finding("the KL weighs too much", evidence)


def _noise_is_learned(case: Case) -> bool:
    """Whether a weight moves the codes' sigma: where none does, (12.3) holds for no beta."""
    asked = [(p, p.requires_grad) for p in case.model.parameters() if p.is_floating_point()]
    try:
        for p, _ in asked:
            p.requires_grad_()
        with torch.enable_grad():
            return case.model.encode(case.x[:2], *(c[:2] for c in case.conditions)).base_dist.scale.requires_grad
    finally:
        for p, before in asked:
            p.requires_grad_(before)


def _confused(case: Case, noise: float, means: float) -> bool:
    """Whether the noise costs what it does where sigma is exp(log_var), or where the KL takes a log_std for log_var.

    With sigma = exp(log_var) the loss is at rest at E[dd / dlog sigma^2] = E[1 - sigma] / 4, and in the other case at
    E[1 - sigma^4], where a price of 1 has E[1 - sigma^2] / 2. The means are right, or still on their way down.
    """
    sigma = case.posterior.stddev
    usual = (1 - sigma.square()).sum()
    known = ((1 - sigma).sum() / (2 * usual), 2 * (1 - sigma.pow(4)).sum() / usual)
    apart = means > 1 / HALF_PRICE and not 1 / HALF_PRICE < noise / means < HALF_PRICE
    return apart and any(1 / NEAR < noise / price.item() < NEAR for price in known)


def _sigma(case: Case) -> Iterator[Finding]:
    """The decoder's noise beside its errors."""
    mean, variance = case.decoded
    if variance is None:
        raise Skipped("the decoder's distribution has no variance to compare with")
    sigma, error = variance.mean().sqrt().item(), (case.pictures - mean).square().mean().sqrt().item()
    case.note("sigma of the decoder", sigma)
    case.note("root of the mean squared error", error)
    if not 1 / WRONG_SIGMA < sigma / error < WRONG_SIGMA:
        yield Finding("sigma is not the error", f"sigma is {sigma:.3g} and the error {error:.3g}")


def _use(case: Case) -> Iterator[Finding]:
    """Whether codes depend on pictures and pictures on codes."""
    case.check_prior()
    mu, variance = case.posterior.mean, case.posterior.variance
    units = ActiveUnits(mu.var(0, correction=0), 0.01)
    nats = kl_by_latent(mu, variance.log()).mean(0)
    case.note("KL, nats", nats.sum().item())
    case.note("KL by latent, nats", nats)
    case.note("active units", units.count)
    case.note("latents", len(units.variances))
    case.note("root mean square of codes, by latent", (mu.square() + variance).mean(0).sqrt())
    case.note(
        "KL of all codes' Gaussian to the prior, nats", aggregate_posterior(case.model, case.seen).moment_matched_kl
    )
    parts = kl_decomposition(case.model, case.seen, samples=4, seed=case.seed)
    case.note("what a code says about its picture, nats", parts.mutual_information.mean)
    case.note("... at most, log N", math.log(len(mu)))
    decided = None
    if not case.conditions:
        means = case.drawn[0]
        decided = (means.var(0).sum() / case.pictures.var(0).sum().clamp_min(1e-12)).item()
        case.note("share of the pictures' variance that codes decide", decided)
    if not units.count:
        yield Finding("the code is not used", f"no mean of q(z | x) moves from picture to picture; {_linear(case)}")
    elif decided is not None and decided < IGNORED:
        yield Finding(
            "the code is not used",
            f"codes of the prior decide {decided:.1%} of the pictures' variance; {_linear(case)}",
        )


def _linear(case: Case) -> str:
    """How many latents a linear VAE with this noise would use: directions in which pictures vary more than it."""
    variance = case.decoded[1]
    if variance is None:
        return "the decoder's noise is unknown"
    noise = variance.mean(0).flatten().sqrt().clamp_min(1e-6) * math.sqrt(case.beta)
    x = (case.pictures.flatten(1) - case.pictures.flatten(1).mean(0)) / noise  # (N, D) in units of the noise
    first, second = x[::2], x[1::2]  # directions from one half, their variance in the other
    directions = torch.linalg.svd(first, full_matrices=False).Vh[:64]
    worth = int(((second @ directions.T).var(0) > 1).sum())
    case.note("latents that a linear VAE with its noise would use", worth)
    return f"a linear VAE with the same noise would use {worth}{' or more' if worth == 64 else ''}"


def _samples(case: Case) -> Iterator[Finding]:
    """The noise of sample() beside the decoder's, told by how much neighbouring pixels differ."""
    if not hasattr(case.model, "sample"):
        raise Skipped("the model has no sample(n)")
    means, draws = case.drawn
    torch.manual_seed(case.seed)
    try:
        given = case.model.sample(len(means)).to(means)
    except Exception as error:
        raise Skipped(f"sample({len(means)}) failed: {_first_line(error)}") from error
    if given.shape != draws.shape or given.shape[-1] < 2:
        raise Skipped("sample(n) does not give n pictures like the decoder's")
    is_levels = bool((given == given.round()).all())  # or it may be means, which are on a scale of their own
    given = case.on_means_scale(given) if is_levels else case.within(given)
    of_means, of_draws, of_given = (_roughness(pictures) for pictures in (means, draws, given))
    noise, theirs = of_draws - of_means, of_given - of_means  # (N,) each
    if not noise.mean() > 5 * theirs.std() / len(means) ** 0.5:
        raise Skipped("the decoder's noise is too small beside its pictures to tell")
    share = case.note("noise of sample(), of the decoder's", (theirs.mean() / noise.mean()).item())
    if share < NOISELESS:
        yield Finding(
            "means returned as samples", f"sample() has {max(0.0, share):.0%} of the pixel noise that p(x | z) says"
        )


def _roughness(pictures: Tensor) -> Tensor:
    """Mean squared difference of neighbours: (N, C, H, W) -> (N,)."""
    return (pictures[..., 1:] - pictures[..., :-1]).square().flatten(1).mean(1)


def _critic(case: Case) -> Iterator[Finding]:
    """A critic's share of right answers."""
    right = [value for value in (_series(case, "right") if case.history else []) if not math.isnan(value)]
    if not right:
        raise Skipped("no critic's share of right answers in the history")
    late = right[-max(1, len(right) // 4) :]
    share = case.note("critic's share of right answers, at last", sum(late) / len(late))
    if share > WINS:
        yield Finding("the critic has won", f"at last it told {share:.1%} of the pictures rightly")
    elif max(_smoothed(right)) < GUESSES:
        yield Finding(
            "the critic never learned", f"it never told more than {max(_smoothed(right)):.1%} of the pictures rightly"
        )


def _smoothed(values: list[float], over: int = 10) -> list[float]:
    return [sum(values[k : k + over]) / over for k in range(len(values) - over + 1)] or values


def _generalises(case: Case) -> Iterator[Finding]:
    """The bound on training pictures and on others."""
    case.check_held_out()
    seen, held_out = (evaluate(case.model, data, 4, seed=case.seed) for data in (case.seen, case.held_out))
    gap = seen["elbo"].mean - held_out["elbo"].mean
    error = math.hypot(seen["elbo"].standard_error, held_out["elbo"].standard_error)
    for which, bound in (("training", seen), ("held-out", held_out)):
        case.note(f"ELBO of {which} pictures, nats", bound["elbo"].mean)
        case.note(f"ELBO of {which} pictures, nats, standard error", bound["elbo"].standard_error)
    found = []
    if gap > 3 * error and gap > GAP * seen["kl"].mean:
        found.append(f"{gap:.3g} ± {error:.2g} nats between them, where the code says {seen['kl'].mean:.3g}")
    losses = _bounds(case, "validation")
    if len(losses) > 2:
        rise = losses[-1] - min(losses)
        case.note("rise of the validation curve since its best, nats", rise)
        if rise > max(TURNED * (losses[0] - min(losses)), held_out["elbo"].standard_error):
            found.append(f"the validation curve was {rise:.3g} nats lower before")
    if found:
        yield Finding("overfitting", "; ".join(found))


def _copying(case: Case) -> Iterator[Finding]:
    """Whether samples are copies of training pictures: far nearer to one than to any other."""
    places = {one: k for k, one in enumerate(case.fingerprints)}  # each picture once
    images = case.all_seen[0]
    if len(places) < len(images):
        images = images[list(places.values())]
    if len(images) < 2:
        raise Skipped("all training pictures are the same")
    distances = nearest(case.drawn[0], images, 2, lambda part: case.on_means_scale(case.prepared(part))).distances
    first, second = distances.unbind(1)
    share = case.note("samples that are copies of training pictures", _share(first < COPY * second))
    if share > COPIES:
        evidence = f"{share:.0%} of the samples are twice as near to one training picture as to any other"
        yield Finding("samples are copies", evidence)


def _codebook(case: Case) -> Iterator[Finding]:
    """How much of a codebook is used."""
    quantiser = getattr(case.model, "quantiser", None)
    if quantiser is None:
        raise Skipped("the model has no codebook")
    tokens = case.model.tokens(case.x)
    numbers = tokens + quantiser.codes * torch.arange(quantiser.books, device=tokens.device)  # each book has its own
    could = min(quantiser.codes * quantiser.books, tokens.numel())
    used = case.note("share of codes in use", len(numbers.unique()) / could)
    case.note("perplexity of tokens", quantiser.perplexity(tokens).item())
    if used < USED:
        yield Finding("the codebook is hardly used", f"{len(case.x)} pictures use {used:.1%} of the codes")


STRUCTURE = {"numbers": _numbers, "shared weights": _sharing, "splits": _splits, "critic": _critic}
OF_CODES = {
    "scale of the pictures": _scale,
    "modes": _modes,
    "biases": _middle,
    "training": _training,
    "price of the KL": _price,
    "sigma": _sigma,
    "use of the code": _use,
    "samples": _samples,
    "generalisation": _generalises,
    "copies": _copying,
}


def _checks_for(model: Any) -> dict[str, Callable[[Case], Iterator[Finding]]]:
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch module, not a {type(model).__name__}.")
    if _has_codes(model):
        return STRUCTURE | OF_CODES
    if hasattr(model, "quantiser"):
        return STRUCTURE | {"codebook": _codebook}
    cure = "Wrap it in a LatentVariableModel whose encode and decode return distributions: notebook 12, section 9."
    raise TypeError(
        f"model must have encode, decode and prior, or a codebook: a {type(model).__name__} has not. "
        + next((f"Give its {name}." for name in ("vae", "module") if hasattr(model, name)), cure)
    )


def _has_codes(model: Any) -> bool:
    return all(hasattr(model, name) for name in ("encode", "decode", "prior"))


def _series(case: Case, part: str, where: str = "train") -> list[float]:
    """The records of a part of the loss, of whichever phase has it; empty where there is none."""
    named = [values for name, values in getattr(case.history, where).items() if name.rpartition(".")[2] == part]
    return named[0] if named else []


def _bounds(case: Case, where: str) -> list[float]:
    """The records of the negative ELBO, or of the loss where its parts are unknown; empty without a history."""
    if case.history is None:
        return []
    distortion, nats = _series(case, "distortion", where), _series(case, "kl", where)
    if distortion and nats:
        return [a + b for a, b in zip(distortion, nats, strict=True)]
    return _series(case, "loss", where)


def _share(true: Tensor) -> float:
    return true.sum().item() / true.numel()


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:150]


def _parts(data: Any, held_out: Any) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...] | None]:
    """Training and held-out data, checked."""
    if isinstance(data, Dataset):
        data, held_out = data.train.images, data.validation.images if held_out is None else held_out
    seen = checked_data(data, "data")
    others = None if held_out is None else checked_data(held_out, "held_out")
    for name, part in (("data", seen), ("held_out", others)):
        if part is not None and len(part[0]) < 20:
            raise ValueError(f"{name} must hold at least 20 pictures, not {len(part[0])}: shares are taken of them.")
    if others is not None and _forms(seen) != _forms(others):
        raise ValueError(
            "held_out must be in the same form as data: pictures of the same type and shape, the same conditions."
        )
    return seen, others


def _forms(data: tuple[Tensor, ...]) -> list[tuple[torch.dtype, torch.Size]]:
    return [(tensor.dtype, tensor.shape[1:]) for tensor in data]


def _checked(history: Any) -> History | None:
    if history is not None and not isinstance(history, History):
        raise TypeError(f"history must be a History, as fit returns it, not a {type(history).__name__}.")
    return history
