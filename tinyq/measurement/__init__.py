"""What a network is worth on a target: measurement, report, difference, profile, counting.

Takes a build folder and samples; gives results that are written as files.
"""
