"""`vrft data`: what is wrong with the data, before anything is trained on it.

`audit` runs it; every file that ends in `_findings` looks for kinds of one sort, `picture_facts` opens the
pictures, `fingerprints` and `near_search` find their copies.
"""
