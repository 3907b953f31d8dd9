"""Published splits of data sets' classes."""

import importlib.resources
import json


def published(name: str) -> dict[str, list[str]]:
    """The class names of `"train"`, `"val"` and `"test"`.

    Args:
        name: name of the split: `omniglot_vinyals` (Vinyals et al. 2016, the validation part as in Snell et al. 2017;
            1028 / 172 / 423 classes), `cifar_fs` (Bertinetto et al. 2019; 64 / 16 / 20), `cub` (Chen et al. 2019;
            100 / 50 / 50) or `mini_imagenet` (Ravi & Larochelle 2017; 64 / 16 / 20).
    """
    return json.loads(importlib.resources.files(__name__).joinpath(f"{name}.json").read_text("utf-8"))
