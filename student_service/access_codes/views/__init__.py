"""The HTTP API: checks requests, calls the use cases and builds the responses.

questions   whether a code lets in (platforms)
codes       what there is to know about codes (operators)
acts        suspend, reinstate, revoke, replace, resend (operators)
"""
