"""Pictures of what there is to see: of an episode and its answers, and of a data set."""

from ml_lstm.plots import contact_sheet, episode_sheet

__all__ = ["contact_sheet", "episode_sheet"]
