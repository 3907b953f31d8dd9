"""The class splits are the published ones."""

import hashlib
import itertools

import pytest

from ml_lstm.data import splits

# Classes, and SHA-256 of their sorted names.
PUBLISHED = {
    "omniglot_vinyals": {
        "train": (1028, "c350ea5778649d32e0ac6ec889c2307081c3925cf690fc8933ebdf3d800b69b2"),
        "val": (172, "d3f56052fbd17195c86774f0ac0189eb7e3e9a0656d5ff71b234479d512fecb2"),
        "test": (423, "bbbdc01c73fd2d347b6d10079314fb3df275938be403cbe915c1c09a38b1ba37"),
    },
    "cifar_fs": {
        "train": (64, "e40c037757741c61e50829c14d921fd10476dfc74ca34da755afdcf05e75b9c1"),
        "val": (16, "e02b317c48c94270f9d5385a65f92a748210ed6c14138a0d3ac79a5fdc571f07"),
        "test": (20, "2a35675fcdddfebb30b999bbeda046762a08705273587d19c96d3c3ab9dd8142"),
    },
    "cub": {
        "train": (100, "2d722db6b72d1c60f6da593c3ce16bf1c2594e4fd0f0f5e138fda89e4da57045"),
        "val": (50, "a3c78978123bb85b79d8a32e06f74fdcd9c5dbb2555faa034fbdf1a8acbceb70"),
        "test": (50, "4d217f7926cdc28b33904f70404a5487892d86cd1a18a1a580c9817e7e14a599"),
    },
    "mini_imagenet": {
        "train": (64, "0f107a65ea80bf1e1d1e5e18d368f0d007e3e4c1885f33cc071363997e3814e9"),
        "val": (16, "489f8af43b2560094c8766f36213842de429622b67b5e9fed1277ebb99806f7d"),
        "test": (20, "0db5287e659efd3391c100c88f40df0f66510dfa9be94b8d0ecc66498f4e9810"),
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_split_is_the_published_one_and_no_class_is_in_two_parts(name):
    split = splits.published(name)
    assert {
        part: (len(names), hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest())
        for part, names in split.items()
    } == PUBLISHED[name]
    names = list(itertools.chain(*split.values()))
    assert len(set(names)) == len(names)
