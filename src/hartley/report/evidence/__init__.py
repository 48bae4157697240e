"""Evidence packs: what a run says about the clauses of a standard or a law.

``collect`` makes statements, each one sentence with the ids of what it rests on; one file each
draws them as HTML, Markdown, OSCAL and CycloneDX; ``lint`` finds a sentence without a source, and
``pack`` writes a folder of them.
"""
