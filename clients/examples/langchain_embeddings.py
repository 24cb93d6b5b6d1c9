"""LangChain: the texts that are nearest to a question. `python langchain_embeddings.py QUESTION [TASK]`

Needs `pip install langchain-core` besides the client; ERNIE_TRITON_URL names another server than 127.0.0.1:8001.
"""

import os
import sys

from langchain_core.embeddings import Embeddings
from langchain_core.vectorstores import InMemoryVectorStore

from ernie_triton import Client

TEXTS = ["花呗可以提前还清吗", "借呗的利息怎么算", "怎么关闭花呗", "今天股市大涨", "国足主场2-1取胜"]


class ErnieEmbeddings(Embeddings):
    """Vectors of a task of the kind `embedding`, with the prefixes that its model knows."""

    def __init__(self, client: Client, task: str = "sentence_embedding") -> None:
        self._client, self._task = client, task
        self._prefixes = client.task(task).prefixes

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Of texts to be found."""
        return self._vectors(texts, "passage")

    def embed_query(self, text: str) -> list[float]:
        """Of what is looked for."""
        return self._vectors([text], "query")[0]

    def _vectors(self, texts: list[str], prefix: str) -> list[list[float]]:
        return self._client.embed(self._task, texts, prefix=prefix if prefix in self._prefixes else None).tolist()


if __name__ == "__main__":
    with Client(os.environ.get("ERNIE_TRITON_URL", "127.0.0.1:8001")) as client:
        store = InMemoryVectorStore.from_texts(TEXTS, ErnieEmbeddings(client, *sys.argv[2:3]))
        for document, score in store.similarity_search_with_score(sys.argv[1], k=3):
            print(f"{score:.3f}  {document.page_content}")
