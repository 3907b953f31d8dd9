"""The experiments of the papers, and some of our own: python -m studies.NAME --data_dir=DIR --out=DIR"""
