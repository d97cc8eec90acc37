"""Operators against the sizes that they meet, folded through every recipe, before anything is trained.

Where pruning decides by weights, sizes are only bounded afterwards, and only what is certain is refused;
`kd.propagation` refuses the rest when it happens.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from kd.config.models import EncoderSettings
from kd.config.propagation import Dim, Operator, PruneUnits, PruneWeights, Renew, Slice
from kd.config.shrink import as_operator
from tasks.params.checks.shrinking import too_many
from tasks.params.pipeline import Params

Bounds = tuple[tuple[int, int], ...]
"""(least, most) units of each dimension that one field of the settings sizes."""


@dataclass(frozen=True)
class Shape:
    """What is known of a model before it exists.

    fields: bounds by field; per_layer: which of them have a dimension in each layer; normed: dims that a norm
    scales; zeroed: share of the weights that is zero, by scope; patterned: whether zeros lie in an N:M pattern.
    """

    family: str
    dims: tuple[str, ...]
    fields: dict[str, Bounds]
    per_layer: tuple[str, ...]
    normed: tuple[str, ...]
    zeroed: dict[str, float] = field(default_factory=dict)
    patterned: bool = False

    def fields_of(self, dim: Dim) -> list[str]:
        return [name for name in self.fields if name == dim or name.startswith(f"{dim}_")]

    def resized(self, sizes: dict[str, Bounds]) -> "Shape":
        """With other bounds, and dimensions for as many layers as those leave; which layers stay is not known."""
        fields = self.fields | sizes
        if "layers" in sizes:
            layers = sizes["layers"][0][1]
            for name in self.per_layer:
                least, most = zip(*fields[name], strict=True)
                fields[name] = ((min(least), max(most)),) * layers
        return replace(self, fields=fields, zeroed={})


ShapeAndProblems = tuple[Shape | None, list[str]]
"""The shape of a model (None: not known, or wrong), and what is wrong with its own operators and shrinking."""


def operator_problems(params: Params) -> Iterator[str]:
    """Every operator that asks for what its model has not, or that would leave the model as it is."""
    known: dict[str, ShapeAndProblems] = {}
    for name in params.students:
        yield from _shape_and_problems(params, name, known)[1]


def _shape_and_problems(params: Params, model: str, known: dict[str, ShapeAndProblems]) -> ShapeAndProblems:
    """Shape and problems of one model, worked out once; of one in a circle, which is refused elsewhere, nothing."""
    if model not in known:
        known[model] = (None, [])
        known[model] = _fold_recipe(params, model, known)
    return known[model]


def _fold_recipe(params: Params, model: str, known: dict[str, ShapeAndProblems]) -> ShapeAndProblems:
    """Its source's shape, taken through its operators one after another until one of them has a problem."""
    if model == "teacher" and params.teacher.source == "train":
        return _shape(params.teacher.model), []
    if model not in params.students:
        return None, []
    recipe = params.students[model]
    given = None if recipe.model is None else _shape(recipe.model)
    shape = given or _shape_and_problems(params, recipe.init, known)[0]
    steps: list[tuple[str, Operator]] = [(f"operators.{i}", operator) for i, operator in enumerate(recipe.operators)]
    if recipe.shrink is not None:
        steps.append(as_operator(recipe.shrink))
    for key, operator in steps:
        if shape is None:
            break
        if problems := list(_problems(shape, operator)):
            return None, [f"students.{model}.{key}{problem}" for problem in problems]
        shape = _after(shape, operator)
    return shape, []


def _shape(encoder: EncoderSettings) -> Shape:
    sizes = {
        name: size if isinstance(size := getattr(encoder, name), tuple) else (size,)
        for name in type(encoder).model_fields
        if any(name == dim or name.startswith(f"{dim}_") for dim in encoder.dims)
    }
    fields = {name: tuple((units, units) for units in size) for name, size in sizes.items()}
    return Shape(encoder.family, encoder.dims, fields, getattr(encoder, "per_layer", ()), encoder.normed)


def _problems(shape: Shape, operator: Operator) -> Iterator[str]:
    """What is wrong, behind the path of the operator."""
    if shape.patterned and not isinstance(operator, PruneWeights):
        yield ": it would break the runs of the N:M pattern before it: put the pattern last"
        return
    if isinstance(operator, Renew):
        yield from _renew_problems(shape, operator)
        return
    if isinstance(operator, PruneWeights):
        zeroed = shape.zeroed.get(operator.scope, 0.0)
        if operator.sparsity is not None and operator.sparsity <= zeroed:
            yield (
                f".sparsity: {zeroed:g} of the weights are zero already, and {operator.sparsity:g} zeroes no more: "
                f"raise it above {zeroed:g}, or remove this operator"
            )
        return
    dims = tuple(operator.keep) if isinstance(operator, Slice) else operator.dims
    if missing := [dim for dim in dims if dim not in shape.dims]:
        for dim in missing:
            yield f": {shape.family} has no dimension '{dim}': choose from {', '.join(shape.dims)}"
    elif operator.importance.by == "norm" and (bare := [dim for dim in dims if dim not in shape.normed]):
        yield f".importance: no norm scales {shape.family}'s {', '.join(bare)}: choose another importance for them"
    elif isinstance(operator, Slice):
        yield from _slice_problems(shape, operator)
    elif operator.sparsity is not None and not _removes(shape, operator, operator.sparsity):
        yield (
            f".sparsity: {operator.sparsity:g} of so few units rounds to none, and nothing would be removed: raise it, "
            "or remove this operator"
        )
    elif problem := too_many(operator, _ranked(shape, operator)):
        yield f".sparsity: {problem}"


def _renew_problems(shape: Shape, operator: Renew) -> Iterator[str]:
    most = shape.fields["layers"][0][1] if "layers" in shape.dims else 0
    layers = operator.positions(most)
    if operator.stem and "stem" not in shape.dims:
        yield f".stem: {shape.family} has none: remove stem"
    if layers and (layers[0] < 0 or layers[-1] >= most):
        yield (
            f".layers: {operator.layers}, but the model has {most} layers, numbered 0 to {most - 1}: name fewer, or "
            "lower numbers"
            if most
            else f".layers: {shape.family} has none: remove layers"
        )
    elif len(layers) == most and operator.head and operator.stem == ("stem" in shape.dims) and most:
        yield ": nothing of the source would be left: use init: random with a model"


def _slice_problems(shape: Shape, operator: Slice) -> Iterator[str]:
    nothing = True
    for dim, amount in operator.keep.items():
        bounds = [bound for name in shape.fields_of(dim) for bound in shape.fields[name]]
        fewest = min(most for _, most in bounds)
        if isinstance(amount, int) and amount > fewest:
            yield f".keep.{dim}: {amount}, but there are only {fewest}: lower it, or give a share below 1"
            nothing = False
        nothing = nothing and all(operator.count(dim, most) == most for _, most in bounds)
    if nothing:
        yield f".keep: {', '.join(operator.keep)} would be kept whole, and nothing would be removed: keep fewer"


def _removes(shape: Shape, operator: PruneUnits, sparsity: float) -> bool:
    return any(round(sparsity * sum(together)) > 0 for together in _ranked(shape, operator))


def _ranked(shape: Shape, operator: PruneUnits) -> list[list[int]]:
    """The most units of each dimension, for each lot of dimensions that the operator's scope ranks together."""
    by_dim = [
        [most for name in shape.fields_of(dim) for _, most in shape.fields[name]]
        for dim in dict.fromkeys(operator.dims)
    ]
    if operator.scope == "kind":
        return by_dim
    everything = [most for dim in by_dim for most in dim]
    return [everything] if operator.scope == "global" else [[most] for most in everything]


def _after(shape: Shape, operator: Operator) -> Shape:
    if isinstance(operator, Renew):
        return replace(shape, zeroed={})
    if isinstance(operator, PruneWeights):
        zeroed: dict[str, float] = {} if operator.sparsity is None else {operator.scope: operator.sparsity}
        return replace(shape, zeroed=zeroed, patterned=shape.patterned or operator.pattern is not None)
    sizes: dict[str, Bounds] = {}
    for dim in operator.keep if isinstance(operator, Slice) else operator.dims:
        for name in shape.fields_of(dim):
            sizes[name] = tuple(_left(operator, dim, *bound) for bound in shape.fields[name])
    return shape.resized(sizes)


def _left(operator: Slice | PruneUnits, dim: Dim, least: int, most: int) -> tuple[int, int]:
    """Bounds of what is left of one dimension."""
    if isinstance(operator, Slice):
        return operator.count(dim, least), operator.count(dim, most)
    if operator.sparsity is None or operator.scope != "layer":
        return 1, most
    low, high = (max(1, units - round(operator.sparsity * units)) for units in (least, most))
    return low, high
