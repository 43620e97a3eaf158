"""Who watches a training beside the previews: alarms and scores, which need data as well as the model."""


def observers(task, data, held_out) -> list:
    """Who watches a training beside the previews, as its settings say. Raises UserError."""
    import datasets
    from translate.doctor import Doctor
    from translate.metrics.command import plain

    config, found = task.config, []
    if config.doctor:
        found.append(Doctor(task, data, held_out, config.silence))
    if config.eval_every:
        from translate.metrics.during import Evaluation

        where = dict(size=config.size, **plain(datasets.options_of(config)))
        parts = (datasets.load(task.data, config.data, split=part, **where) for part in ("train", "test"))
        found.append(Evaluation(task, *parts, config))
    return found
