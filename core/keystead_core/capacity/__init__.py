"""Metered capacity: who may consume how many units, decided without a call for each request (docs/capacity.md).

limits        what a table, or an index with units of its own, may consume, and each of its partitions
token_bucket  one limit over time: a rate, and what was left unused of it
accountant    holds the buckets, and hands their tokens out to the routers that ask
allowance     what one router holds of a bucket's tokens, and when it asks for more
admission     whether a request is let through by them
"""
