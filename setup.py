"""Packs configs/ as ml_lstm/configs/, so that an installed package has them; setup.cfg cannot say it beside `find:`."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["ml_lstm*"]), "ml_lstm.configs"],
    package_dir={"ml_lstm.configs": "configs"},
)
