"""Atlassian Document Format: is a value a document, and what does it say."""

_BLOCKS = {"paragraph", "heading", "bulletList", "orderedList", "listItem", "codeBlock", "blockquote", "rule", "panel",
           "table", "tableRow", "tableCell", "tableHeader", "expand", "nestedExpand", "mediaSingle", "mediaGroup",
           "media", "taskList", "taskItem", "decisionList", "decisionItem"}
_INLINES = {"text", "hardBreak", "mention", "emoji", "inlineCard", "date", "status"}
TEXT_LIMIT = 32767


def is_document(value) -> bool:
    """Whether a value claims to be a document."""
    return (isinstance(value, dict) and value.get("type") == "doc" and value.get("version") == 1
            and isinstance(value.get("content"), list))


def is_valid(document: dict) -> bool:
    """Whether every node of a document is one the vendor accepts; a text node may not be empty."""
    return all(_valid_node(node) and node["type"] in _BLOCKS for node in document["content"])


def _valid_node(node) -> bool:
    if not isinstance(node, dict) or str(node.get("type")) not in _BLOCKS | _INLINES:
        return False
    if node["type"] == "text":
        return isinstance(node.get("text"), str) and node["text"] != ""
    content = node.get("content", [])
    return isinstance(content, list) and all(_valid_node(child) for child in content)


def plain_text(value) -> str:
    """The words of a document, a line for each block; empty for None."""
    if not isinstance(value, dict):
        return ""
    if value.get("type") == "text":
        return value["text"]
    if value.get("type") == "hardBreak":
        return "\n"
    children = value.get("content", [])
    between = "\n" if any(child.get("type") in _BLOCKS for child in children) else ""
    return between.join(plain_text(child) for child in children)


def to_document(text: str) -> dict:
    """A document of one paragraph."""
    return {"type": "doc", "version": 1,
            "content": [{"type": "paragraph", "content": [{"type": "text", "text": text}]}]}
