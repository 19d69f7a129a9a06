"""What whoever reads an output of a model must know: said in the same words everywhere."""

SHOWN_NOT_FELT = (
    "A shown expression is not a felt emotion: what is recognised is a face, not what a person feels, thinks or is."
)
AI_ACT = (
    "In the European Union, inferring emotions of people in the workplace and in education institutions is prohibited, "
    "except for medical or safety reasons (AI Act, Art. 5(1)(f))."
)
DRAWN = "Trained on drawn faces: it knows nothing of real ones; no output of it says anything about a person."
NO_MODEL = (
    "no model given, and none for real faces comes with the project; train one on data that you may use "
    "(`dfer train dfew/baseline --data.root DFEW --out runs/mine`), then give its folder with --model runs/mine"
)
