"""The recurrent cell with an external memory, against its equations in NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ml_lstm.cells.memory import MemoryCell, least_used

UNITS, ROWS, WIDTH, HEADS = 4, 5, 3, 2


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def new_cell():
    keras.utils.set_random_seed(3)
    cell = MemoryCell(UNITS, ROWS, WIDTH, HEADS, decay=0.9, dtype="float64")
    cell.build((None, 6))
    cell.alpha.assign(0.7)
    return cell


def in_numpy(cell, inputs):
    kernel, recurrent, bias = (w.numpy() for w in cell.controller.weights)
    to_keys, keys_bias = (w.numpy() for w in cell.keys.weights)
    h, c = np.zeros(UNITS), np.zeros(UNITS)
    memory, read = np.full((ROWS, WIDTH), 1e-6), np.zeros(HEADS * WIDTH)
    read_weights, usage = np.zeros((HEADS, ROWS)), np.zeros(ROWS)
    outputs = []
    for x in inputs:
        i, f, g, o = np.split(np.concatenate([x, read]) @ kernel + h @ recurrent + bias, 4)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        keys = np.tanh(h @ to_keys + keys_bias).reshape(HEADS, WIDTH)
        order = np.argsort(usage, kind="stable")
        least = np.isin(np.arange(ROWS), order[:HEADS]).astype(float)
        write_weights = sigmoid(0.7) * read_weights + (1 - sigmoid(0.7)) * least
        memory[order[0]] = 0
        for head in range(HEADS):
            for row in range(ROWS):
                memory[row] += write_weights[head, row] * keys[head]
        reads = []
        for head in range(HEADS):
            # What is as short as a row that was never written has no direction.
            lengths = np.sqrt(np.maximum((memory**2).sum(1), 1e-8)) * np.linalg.norm(keys[head])
            cosines = memory @ keys[head] / lengths
            read_weights[head] = np.exp(cosines) / np.exp(cosines).sum()
            reads.append(read_weights[head] @ memory)
        read = np.concatenate(reads)
        usage = 0.9 * usage + read_weights.sum(0) + write_weights.sum(0)
        outputs.append(np.concatenate([h, read]))
    return np.array(outputs), memory, usage


def test_reads_and_writes_follow_the_equations():
    cell, inputs = new_cell(), np.random.default_rng(0).normal(size=(7, 6))
    state, outputs = cell.get_initial_state(1), []
    for x in inputs:
        output, state = cell(tf.constant(x[None]), state)
        outputs.append(output[0])
    expected, memory, usage = in_numpy(cell, inputs)
    np.testing.assert_allclose(outputs, expected, rtol=1e-4)
    np.testing.assert_allclose(state[2][0], memory, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(state[5][0], usage, rtol=1e-4)


def test_as_many_rows_are_least_used_as_there_are_heads():
    usage = tf.constant([[0.3, 0.1, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0]])
    np.testing.assert_array_equal(least_used(usage, 2), [[0, 1, 0, 1], [1, 1, 0, 0]])
    np.testing.assert_array_equal(least_used(usage, 3), [[0, 1, 1, 1], [1, 1, 1, 0]])


def test_more_heads_than_rows_are_refused():
    with pytest.raises(ValueError, match="got 3 rows and 4 heads"):
        MemoryCell(UNITS, rows=3, width=2, heads=4)
