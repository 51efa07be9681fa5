"""The one record of what people do: who, when, why, and what came of it.

Every room that lets a person act writes here; nothing here knows those rooms.
"""
