"""Use cases, one file each: who may do what, in one transaction, with one audit event.

Nothing here knows a page, a route or a web toolkit. Every method takes the actor first and
authorises itself; it returns plain views and raises errors whose text a clinician may read.
"""
