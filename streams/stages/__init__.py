"""The stages, one file an agent, in the order in which an event meets them: ingest, profile, learn, content, embed."""
