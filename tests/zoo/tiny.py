"""A run of two meta-steps, and what its card is to say."""

from ml_lstm.runs import RunDirectory, settings
from ml_lstm.training import Progress

WORDS = {
    "trained_on": "Glyphs that the program draws.",
    "licence": "Apache 2.0, nothing else.",
    "confidence": "Its probabilities mean little.",
    "bad_at": ["Photographs.", "More than 9 classes."],
}

# On glyphs of 16x16 for two steps.
SMALL = {"dataset": "glyphs", "image_size": 16, "n_query": 2, "filters": 4, "meta_batch_size": 2, "learning_rate": 0.01}
BY_METHOD = {
    "meta_lstm": {"hidden_units": 2, "inner_steps": 2, "shared_head": True, "inner_gradient_scale": 10.0},
    "simple_shot": {"learner": "resnet12", "batch_size": 8},
}


def trained(path, method):
    """A run of two meta-steps by a method of `BY_METHOD`."""
    values = settings.complete(SMALL | {"method": method} | BY_METHOD[method])
    data = settings.load_data(values)
    model = settings.build_method(values, data.problem)
    model.compile(optimizer=settings.make_optimizer(model, values, steps=2))
    sampler = model.training_sampler(data)
    model.fit(sampler.dataset().batch(values["meta_batch_size"]), steps_per_epoch=2, verbose=0)
    run = RunDirectory(path)
    run.create(settings.bound(values), data.problem, data.class_digest())
    progress = Progress()
    run.best(model=model, progress=progress).save(4)
    return run, model
