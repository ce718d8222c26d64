"""Eight numbers that a compiled function reckons with at once.

LLVM turns loops into such instructions by itself where it can tell that no two arrays overlap;
with a dozen of them in a loop it gives up, and the loop takes five times as long.  A CPU with
narrower registers does the same in several steps, with the same results.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import extending
from numba.core import cgutils, types
from numba.extending import models, overload, register_model

__all__ = [
    "LANES", "LINE", "fetch_to_read", "fetch_to_write", "larger", "load", "same", "smaller", "store"
]  # fmt: skip

intrinsic: Callable[..., Any] = extending.intrinsic

LANES = 8
LINE = 16
"""Numbers in a line of the cache."""

_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FLOAT_BYTES = 4
_CONTRACT = ("contract",)
"""A product and a sum become one instruction, as in `jit`."""

_EVERY_CACHE, _DATA = 3, 1
"""What LLVM's prefetch is told."""


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


_lanes = _Lanes()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _place(context: Any, builder: Any, array: Any, kind: Any, offset: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    place = builder.gep(data, [offset], inbounds=True)
    return builder.bitcast(place, _VECTOR.as_pointer())


@intrinsic
def load(_, array, offset):
    """The numbers of a contiguous fp32 array from `offset` on, of all its numbers in a row."""

    def generate(context, builder, signature, given):
        place = _place(context, builder, given[0], signature.args[0], given[1])
        return builder.load(place, align=_FLOAT_BYTES)

    return _lanes(array, types.intp), generate


@intrinsic
def store(_, array, offset, lanes):
    """Puts them there."""

    def generate(context, builder, signature, given):
        place = _place(context, builder, given[0], signature.args[0], given[1])
        builder.store(given[2], place, align=_FLOAT_BYTES)
        return context.get_dummy_value()

    return types.none(array, types.intp, lanes), generate


@intrinsic
def same(_, number):
    """One fp32 number in every lane."""

    def generate(_, builder, __, given):
        lanes = ir.Constant(_VECTOR, ir.Undefined)
        for k in range(LANES):
            lanes = builder.insert_element(lanes, given[0], ir.IntType(32)(k))
        return lanes

    return _lanes(types.float32), generate


def _of_two(build: Callable[[Any, Any, Any], Any]) -> Any:
    """What `build` makes of two times eight numbers."""

    @intrinsic
    def both(_, a, b):
        def generate(_, builder, __, given):
            return build(builder, *given)

        return _lanes(_lanes, _lanes), generate

    return both


def _choice(sign: str) -> Callable[[Any, Any, Any], Any]:
    def build(builder: Any, a: Any, b: Any) -> Any:
        return builder.select(builder.fcmp_ordered(sign, a, b), a, b)

    return build


larger = _of_two(_choice(">"))
smaller = _of_two(_choice("<"))


def _operator(sign: Any, of_two: Any) -> None:
    """`sign` between lanes, or between a number and lanes."""

    @overload(sign)
    def implement(a, b):
        if a is _lanes and b is _lanes:
            return lambda a, b: of_two(a, b)
        if a is types.float32 and b is _lanes:
            return lambda a, b: of_two(same(a), b)
        return None


def _arithmetic(name: str) -> Callable[[Any, Any, Any], Any]:
    return lambda builder, a, b: getattr(builder, name)(a, b, flags=_CONTRACT)


for _sign, _name in ((operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul")):
    _operator(_sign, _of_two(_arithmetic(_name)))


def _fetch(writing: bool) -> Any:
    @intrinsic
    def fetch(_, array, offset):
        """The cache line of the number at `offset` will be needed; it may lie outside."""

        def generate(context, builder, signature, given):
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            data = context.make_array(signature.args[0])(context, builder, given[0]).data
            place = builder.bitcast(builder.gep(data, [given[1]]), byte)
            kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
            how = (int(writing), _EVERY_CACHE, _DATA)
            builder.call(function, [place, *(word(n) for n in how)])
            return context.get_dummy_value()

        return types.none(array, types.intp), generate

    return fetch


fetch_to_read, fetch_to_write = _fetch(writing=False), _fetch(writing=True)
