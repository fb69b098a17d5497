"""The ports of the operators' telephone service.

Voice and SMS are two ports of one SIP service (RFC 3261, RFC 3428), so that each can be switched off by flow rules;
media (RTP, RFC 3550) goes straight between subscribers of an operator.
"""

from shutdownlab.config.scalars import Ports

VOICE = Ports(protocol="udp", first=5060, last=5060)
SMS = Ports(protocol="udp", first=5062, last=5062)
MEDIA = Ports(protocol="udp", first=16384, last=16895)
