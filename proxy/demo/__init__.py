"""`sealgate demo`: the whole promise on one machine, each step asserted.

command   options, and what holds the tour together
steps     the tour, one function a step
shop      the shop: its database, its logins, the proxy's process
page      what is printed
"""
