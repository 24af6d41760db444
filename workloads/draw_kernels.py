"""The first number of numpy's default generator for a list of keys, without making the generator.

numpy promises that streams of `SeedSequence` and of the bit generator PCG64 stay as they are (NEP 19). `SeedSequence`
mixes its keys as M. E. O'Neill describes ("Developing a seed_seq alternative", 2015); PCG64 is the 128-bit member
XSL-RR of her family ("PCG", HMC-CS-2014-0905).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.kernel import kernel

POOL_WORDS = 4
STATE_WORDS = 8
ENTROPY_START, ENTROPY_FACTOR = 0x43B0D7E5, 0x931E8875
OUTPUT_START, OUTPUT_FACTOR = 0x8B51F9DD, 0x58F38DED
LEFT_FACTOR, RIGHT_FACTOR = 0xCA01F9DD, 0x4973F715
WORD = 0xFFFFFFFF
HALF_BITS = 16
FACTOR_HIGH, FACTOR_LOW = 2549297995355413924, 4865540595714422341


@kernel
def draw_words(
    keys: NDArray[np.uint64], last_keys: NDArray[np.uint64], pool: NDArray[np.uint64], drawn: NDArray[np.uint64]
) -> None:
    """Give the first 64 bits of the generator of `keys` and one last key, for each of these.

    Args:
        keys: 32 bits each.
        last_keys: Up to 64 bits each, of which the upper word is a key of its own where it is not 0.
        pool: 12 places to work in.
    """
    word = np.uint64(WORD)
    for at in range(len(last_keys)):
        low, high = last_keys[at] & word, last_keys[at] >> np.uint64(32)
        count = len(keys) + 1 + (high > 0)
        constant = np.uint64(ENTROPY_START)
        for i in range(max(count, POOL_WORDS)):
            value = np.uint64(0)
            if i < len(keys):
                value = keys[i]
            elif i == len(keys):
                value = low
            elif i < count:
                value = high
            if i < POOL_WORDS:
                value, constant = mix_word(value, constant, np.uint64(ENTROPY_FACTOR))
                pool[i] = value
            if i == POOL_WORDS - 1:
                for source in range(POOL_WORDS):
                    for target in range(POOL_WORDS):
                        if source != target:
                            mixed, constant = mix_word(pool[source], constant, np.uint64(ENTROPY_FACTOR))
                            pool[target] = join_words(pool[target], mixed)
            if i >= POOL_WORDS:
                for target in range(POOL_WORDS):
                    mixed, constant = mix_word(value, constant, np.uint64(ENTROPY_FACTOR))
                    pool[target] = join_words(pool[target], mixed)
        constant = np.uint64(OUTPUT_START)
        for i in range(STATE_WORDS):
            mixed, constant = mix_word(pool[i % POOL_WORDS], constant, np.uint64(OUTPUT_FACTOR))
            pool[POOL_WORDS + i] = mixed
        drawn[at] = draw_first(
            pool[4] | pool[5] << np.uint64(32), pool[6] | pool[7] << np.uint64(32),
            pool[8] | pool[9] << np.uint64(32), pool[10] | pool[11] << np.uint64(32),
        )  # fmt: skip


@kernel
def mix_word(value: np.uint64, constant: np.uint64, factor: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Hash a word of 32 bits with a constant, which moves on."""
    word = np.uint64(WORD)
    moved = constant * factor & word
    mixed = (value ^ constant) * moved & word
    return mixed ^ mixed >> np.uint64(HALF_BITS), moved


@kernel
def join_words(first: np.uint64, second: np.uint64) -> np.uint64:
    """Hash two words of 32 bits into one."""
    joined = first * np.uint64(LEFT_FACTOR) - second * np.uint64(RIGHT_FACTOR) & np.uint64(WORD)
    return joined ^ joined >> np.uint64(HALF_BITS)


@kernel
def draw_first(seed_high: np.uint64, seed_low: np.uint64, place_high: np.uint64, place_low: np.uint64) -> np.uint64:
    """Seed PCG64 with a state and a place of its sequence, and draw once."""
    one, top = np.uint64(1), np.uint64(63)
    step_high, step_low = place_high << one | place_low >> top, place_low << one | one
    # The state 0, moved on, is the step.
    low = step_low + seed_low
    high = step_high + seed_high + np.uint64(low < seed_low)
    for _ in range(2):
        product_high = multiply_high(low, np.uint64(FACTOR_LOW))
        high = high * np.uint64(FACTOR_LOW) + low * np.uint64(FACTOR_HIGH) + product_high
        low = low * np.uint64(FACTOR_LOW)
        low = low + step_low
        high = high + step_high + np.uint64(low < step_low)
    turn, folded = high >> np.uint64(58), high ^ low
    return folded >> turn | folded << (np.uint64(64) - turn & top)


@kernel
def multiply_high(first: np.uint64, second: np.uint64) -> np.uint64:
    """Give the upper 64 bits of a product."""
    word, half = np.uint64(WORD), np.uint64(32)
    a, b, c, d = first >> half, first & word, second >> half, second & word
    middle = a * d + (b * d >> half)
    other = b * c + (middle & word)
    return a * c + (middle >> half) + (other >> half)
