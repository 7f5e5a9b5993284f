"""Where something is decided. Pure deciding (`transitions`, `placement`, `decisions`) apart from doing.

`core` is what all of them share; `creation` and `lifecycle` do what a client asks for; `monitor` watches the
nodes; `reconciler` makes the database agree with what they see; `lease` says whether this server may do so.
"""
