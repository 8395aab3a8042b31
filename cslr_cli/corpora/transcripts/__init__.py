"""Annotation documents of videos, from which a corpus is made.

- `transcript`: `AnnotationDocument`, the tiers of a document, and its videos.
- `elan`: documents of ELAN.
- `other_formats`: Praat TextGrids, subtitles, and the JSON of `cslr predict`.
- `sentences`: tiers to sentences of glosses, each with its signer.
- `transcript_corpus`: `TranscriptCorpus`, the reader of a folder of documents.
"""

from cslr_cli.corpora.transcripts.sentences import SentenceOptions
from cslr_cli.corpora.transcripts.transcript_corpus import TranscriptCorpus

__all__ = ["SentenceOptions", "TranscriptCorpus"]
