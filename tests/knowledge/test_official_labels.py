"""Every label that MedMNIST and IDRiD themselves use is read as the class it means, whatever its spelling."""

import pytest

from vrft_aug.answer import parse
from vrft_aug.data.readers.medmnist_labels import LABELS as OURS
from vrft_aug.knowledge.bank import load_bank
from vrft_aug.nouns import Case, Rollout, Target
from vrft_aug.recipe.task_config import TaskConfig
from vrft_aug.tasks.task import make_task

ORGANS = ["bladder", "femur-left", "femur-right", "heart", "kidney-left", "kidney-right", "liver",
          "lung-left", "lung-right", "pancreas", "spleen"]  # fmt: skip
GRADES = ["0", "1", "2", "3", "4"]
# By their numbers, as MedMNIST's info (v2) and IDRiD's tables spell them.
OFFICIAL = {
    "pathmnist": ["adipose", "background", "debris", "lymphocytes", "mucus", "smooth muscle",
                  "normal colon mucosa", "cancer-associated stroma", "colorectal adenocarcinoma epithelium"],
    "chestmnist": ["atelectasis", "cardiomegaly", "effusion", "infiltration", "mass", "nodule", "pneumonia",
                   "pneumothorax", "consolidation", "edema", "emphysema", "fibrosis", "pleural", "hernia"],
    "dermamnist": ["actinic keratoses and intraepithelial carcinoma", "basal cell carcinoma",
                   "benign keratosis-like lesions", "dermatofibroma", "melanoma", "melanocytic nevi",
                   "vascular lesions"],
    "octmnist": ["choroidal neovascularization", "diabetic macular edema", "drusen", "normal"],
    "pneumoniamnist": ["normal", "pneumonia"],
    "retinamnist": GRADES,
    "breastmnist": ["malignant", "normal, benign"],
    "bloodmnist": ["basophil", "eosinophil", "erythroblast",
                   "immature granulocytes(myelocytes, metamyelocytes and promyelocytes)", "lymphocyte",
                   "monocyte", "neutrophil", "platelet"],
    "tissuemnist": ["Collecting Duct, Connecting Tubule", "Distal Convoluted Tubule",
                    "Glomerular endothelial cells", "Interstitial endothelial cells", "Leukocytes",
                    "Podocytes", "Proximal Tubule Segments", "Thick Ascending Limb"],
    "organamnist": ORGANS,
    "organcmnist": ORGANS,
    "organsmnist": ORGANS,
    "idrid": GRADES,
    "idrid-dme": GRADES[:3],
    "busi": ["normal", "benign", "malignant"],
}  # fmt: skip


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_labels_are_read(name: str) -> None:
    labels = list(OURS.get(name, load_bank(name).classes))
    several = load_bank(name).coexist
    config = {
        "kind": "multilabel" if several else "classify", "question": "?", "labels": labels, "knowledge": name,
        "synonyms": True, "data": {"reader": "procedural", "modality": "fundus"},
    }  # fmt: skip
    task = make_task(name, TaskConfig.model_validate(config))
    read = [
        parse(Rollout(f"<think>x</think><answer>{one}</answer>"), task, None, Case("c", (), Target())).value
        for one in OFFICIAL[name]
    ]
    assert read == [frozenset([label]) if several else label for label in labels]
