"""What a message, a start and a restart cost: klife's actors and supervisors beside plain gevent and stock
pykka.
"""
