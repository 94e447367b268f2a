"""A small bank of fundus findings, for tests of what is read and paid."""

from vrft_aug.knowledge.bank_schema import KnowledgeBank

WORDS = {
    "microaneurysms": ("small dark red dots", "MA"),
    "haemorrhages": ("dark red blots", "bleeding"),
    "hard exudates": ("bright yellow spots", "exudates"),
    "cotton wool spots": ("pale fluffy patches",),
    "new vessels": ("neovascularisation",),
    "mass": (),
    "opacity": (),
}
BANK = KnowledgeBank.model_validate(
    {
        "name": "eyes",
        "title": "t",
        "author": "a",
        "reviewed": False,
        "sources": [],
        "findings": {name: list(others) for name, others in WORDS.items()},
        "classes": {
            "none": {
                "definition": "No lesions.",
                "excludes": ["microaneurysms", "haemorrhages", "hard exudates", "new vessels"],
            },
            "mild": {
                "definition": "Small dark red dots and no haemorrhages.",
                "defining": ["microaneurysms"],
                "typical": ["microaneurysms"],
                "unlikely": ["mass"],
                "excludes": ["haemorrhages", "new vessels"],
            },
            "moderate": {
                "definition": "Haemorrhages or hard exudates.",
                "defining": [["haemorrhages", "hard exudates"]],
                "typical": ["haemorrhages", "hard exudates"],
                "may": ["microaneurysms"],
                "excludes": ["new vessels"],
            },
            "proliferative": {
                "definition": "New vessels.",
                "typical": ["new vessels"],
                "may": ["microaneurysms", "haemorrhages", "hard exudates", "cotton wool spots"],
            },
        },
    }
)
