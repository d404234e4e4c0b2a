"""The words of questions and answers, as data; `dialogues.py` puts them together.

Many ways of asking and few of answering: a reader may ask anyhow, and a draft should read like
a report. In patterns {a} stands for a finding with its article, {f} for its bare name.
"""

# finding: (names with article, bare names); the first is the one used in answers
NAMES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "pleural effusion": (
        ("a pleural effusion", "an effusion", "pleural fluid", "fluid around the lung"),
        ("pleural effusion", "effusion", "pleural fluid", "pleural effusions"),
    ),
    "pneumothorax": (
        ("a pneumothorax", "a collapsed lung", "free air in the pleural space"),
        ("pneumothorax", "apical pneumothorax"),
    ),
    "consolidation": (
        ("consolidation", "a consolidation", "airspace disease", "an airspace opacity"),
        ("consolidation", "airspace consolidation", "airspace opacity"),
    ),
    "nodule": (
        ("a nodule", "a lung nodule", "a pulmonary nodule", "a small round opacity"),
        ("nodule", "pulmonary nodule", "lung nodule", "nodules"),
    ),
    "cardiomegaly": (
        ("cardiomegaly", "an enlarged heart", "cardiac enlargement", "enlargement of the heart"),
        ("cardiomegaly", "enlarged heart", "enlarged cardiac silhouette"),
    ),
    "endotracheal tube": (
        ("an endotracheal tube", "a tube", "an ET tube", "a breathing tube", "a support device"),
        ("endotracheal tube", "tube", "ET tube", "ETT", "tracheal tube"),
    ),
    "atelectasis": (("atelectasis", "collapse"), ("atelectasis",)),
    "oedema": (
        ("pulmonary oedema", "pulmonary edema", "oedema", "edema", "fluid overload"),
        ("oedema", "edema", "pulmonary edema"),
    ),
    "emphysema": (("emphysema", "hyperinflation"), ("emphysema",)),
    "fibrosis": (("fibrosis", "scarring"), ("fibrosis", "pulmonary fibrosis")),
    "hernia": (("a hernia", "a hiatus hernia"), ("hernia", "hiatal hernia")),
    "infiltration": (
        ("an infiltrate", "infiltration", "infiltrates", "a lung opacity"),
        ("infiltration", "infiltrate", "opacity"),
    ),
    "mass": (("a mass", "a lung mass", "a tumour"), ("mass", "lung mass", "tumor")),
    "pleural thickening": (("pleural thickening",), ("pleural thickening",)),
    "pneumonia": (
        ("pneumonia", "a pneumonia", "a lung infection", "signs of infection"),
        ("pneumonia", "infection"),
    ),
}
SENTENCES = {  # when present; {place} is empty or " in the left lower zone"
    "pleural effusion": "There is a {side}pleural effusion.",
    "pneumothorax": "There is a {side}pneumothorax.",
    "consolidation": "There is consolidation{place}.",
    "nodule": "There is a nodule{place}.",
    "cardiomegaly": "The heart is enlarged.",
    "endotracheal tube": "An endotracheal tube is in place, with its tip above the carina.",
    "atelectasis": "There is atelectasis.",
    "oedema": "There are signs of pulmonary oedema.",
    "emphysema": "The lungs are hyperinflated, as in emphysema.",
    "fibrosis": "There is fibrosis.",
    "hernia": "There is a hiatus hernia.",
    "infiltration": "There is patchy lung opacity.",
    "mass": "There is a mass.",
    "pleural thickening": "There is pleural thickening.",
    "pneumonia": "The appearance may be that of pneumonia{place}.",
}
ABSENT = "No {f} is seen."
NOT_ENLARGED = "The heart is not enlarged."

PRESENCE = (
    "Is there {a}?", "Is {a} present?", "Does this film show {a}?", "Do you see {a}?",
    "Is {a} seen?", "Can you see {a}?", "Is there evidence of {f}?", "Is there any {f}?",
    "Is {f} visible on this radiograph?", "Are there signs of {f}?", "{f}?", "{F}?",
    "Does the patient have {a}?", "Does this image show {a}?", "Any sign of {f}?",
    "Does the chest x-ray show {f}?", "Is {a} visible?", "Is {f} seen on this image?",
    "Does this radiograph contain {a}?", "Would you say there is {a}?", "Is there {f}?",
    "Has this patient got {a}?", "Can {a} be seen on the film?", "Is {a} identified?",
    "Do the images demonstrate {a}?", "Is {a} demonstrated?", "Look for {f}. Is there any?",
    "Does the film demonstrate {f}?", "In this study, is {f} present?",
    "Tell me whether {a} is present.", "Please say whether there is {a}.", "Could there be {a}?",
    "Is there possibly {a}?", "Let me know if you see {a}.", "I wonder whether there is {a}.",
    "Do you think there is {a}?", "Can you confirm {a}?", "Can {f} be identified?",
    "Please tell me if {a} can be seen.", "Does this patient show {f}?", "Is {f} there?",
    "Was {a} found?", "Do you notice {a}?", "Is {a} apparent?", "Can you detect {f}?",
    "{F}?", "{F}: yes or no?", "{F}, yes or no?", "{F} seen?", "{F} present?", "{F} visible?",
)  # fmt: skip
PRESENT_OR_ABSENT = (
    "{F}: present or absent?", "{F}: present or absent?", "{F}:",
    "{F} present or absent?", "Is {f} present or absent?", "State whether {f} is present.",
    "Evaluate for {f}.", "Finding: {f}.", "Classify: {f}.", "Is {a} present or absent here?",
    "Is {f} present, absent or indeterminate?", "{F} - present, absent or indeterminate?",
    "Assess this film for {f}.", "What is the status of {f}?", "Report on {f}.",
    "Tell me if {a} is present or absent.", "Presence of {f}?", "{F}",
    "Comment on {f}.", "Rate {f}.", "Grade this finding: {f}.", "Label for {f}?", "Judge {f}.",
    "Decide whether {a} is present or absent.", "Status: {f}.", "How would you label {f}?",
    "The finding is {f}. What is its state?", "{F} status?", "Check for {f}.",
    "Mark {f} as present or absent.", "For {f}, say present, absent or indeterminate.",
    "{F} (present/absent)?", "{F}, present or absent?", "{F}: present, absent or indeterminate?",
    "{F} is present or absent?", "{F}: state?", "{F} on this film: present or absent?",
)  # fmt: skip
HEART_ENLARGED = (
    "Is the heart enlarged?", "Is the cardiac silhouette enlarged?", "Is the heart too big?",
    "Does the heart look big?", "Is the heart size increased?", "Is the heart large?",
)  # fmt: skip
HEART_NORMAL = (
    "Is the heart normal in size?", "Is the heart size normal?", "Is the heart of normal size?",
    "Is the cardiac silhouette normal?", "Is the cardiac silhouette within normal limits?",
)  # fmt: skip
INTUBATED = ("Is the patient intubated?", "Has the patient been intubated?")
ON_SIDE = (
    "Is there {a} on the {side}?", "Is there {a} on the {side} side?", "Is there a {side} {f}?",
    "Does the {side} lung show {f}?", "{S} {f}?", "Is there a {side}-sided {f}?",
)  # fmt: skip
WHICH_SIDE = (
    "Which side is the {f} on?", "On which side is the {f}?", "Is the {f} on the left or right?",
    "What side is the {f}?", "Left or right: the {f}?", "Which lung has the {f}?",
    "Is the {f} on the right or the left?",
)  # fmt: skip
WHICH_ZONE = (
    "In which zone is the {f}?", "Is the {f} in the upper, mid or lower zone?",
    "Which lung zone holds the {f}?", "What zone is the {f} in?",
)  # fmt: skip
WHERE = (
    "Where is the {f}?", "Where is the {f} located?", "Locate the {f}.",
    "What is the location of the {f}?", "Where do you see the {f}?",
)  # fmt: skip
VIEW = (
    "Is this an AP or a PA film?", "AP or PA?", "What is the projection?", "Which view is this?",
    "What view is this?", "Was this film taken AP or PA?", "Is this a PA or an AP view?",
    "What is the view position?", "In which projection was this film taken?", "View?",
    "Is the projection anteroposterior or posteroanterior?", "How was this film taken?",
    "Was this image taken in the AP or PA plane?", "What is the radiographic projection?",
    "Which projection is shown?", "Is this film AP or PA?", "PA or AP?", "Projection?",
    "Is this radiograph an anteroposterior (AP) or posteroanterior (PA) view?",
    "What is the view of this chest film?", "Name the view position of this chest radiograph.",
    "Please tell me the view.", "State the projection.",
    "Was the beam anteroposterior or posteroanterior?",
    "Which way was the film exposed, AP or PA?", "Tell me whether this is AP or PA.",
    "Projection used?", "AP view or PA view?", "Does this film have an AP or a PA projection?",
)  # fmt: skip
VIEW_IS = ("Is this {an} {view} film?", "Is this {an} {view} view?", "Was this taken {view}?",
           "Is this an image taken {view}?", "Is the projection {view}?")  # fmt: skip
NORMAL_OR_NOT = (
    "Is this film normal or abnormal?", "Normal or abnormal?", "Is the image normal or abnormal?",
    "Is this chest radiograph normal or abnormal?", "Classify this film as normal or abnormal.",
    "Would you call this film normal or abnormal?", "Is this study normal or abnormal?",
    "Is this chest x-ray abnormal or normal?", "Overall, is it normal or abnormal?",
    "Is the chest normal or abnormal?", "Say whether the film is normal or abnormal.",
    "Please judge: normal or abnormal?", "Tell me whether this film is normal or abnormal.",
    "Does this look normal or abnormal?", "Normal film or abnormal film?",
    "Rate this radiograph as normal or abnormal.", "What is your verdict: normal or abnormal?",
    "How would you classify this image, normal or abnormal?",
)  # fmt: skip
NORMAL = (
    "Is this film normal?", "Is this a normal film?", "Is this image normal?",
    "Are the lungs clear?",
    "Is this chest x-ray normal?", "Is this a normal chest radiograph?", "Is everything normal?",
    "Does this look normal?", "Is the chest normal?", "Are the lungs normal appearing?",
    "Is this a healthy chest?", "Is the study unremarkable?",
)  # fmt: skip
ABNORMAL = (
    "Is this film abnormal?", "Is there any abnormality?", "Is there an abnormality?",
    "Does this film show any abnormality?", "Are there abnormal findings?", "Is it abnormal?",
    "Is anything wrong with this film?", "Is there any pathology?", "Are there any findings?",
    "Is there evidence of disease?", "Is this image abnormal?", "Do you see anything abnormal?",
    "Is there an abnormal finding on this radiograph?", "Is the chest abnormal?",
)  # fmt: skip
MODALITY = (
    "What modality is this?", "Which modality is this?", "What imaging modality was used?",
    "What kind of image is this?", "What type of image is this?", "How was this image taken?",
    "Which imaging technique was used?", "Modality?", "What is the modality of this image?",
    "Name the modality.", "What type of scan is this?", "What kind of study is this?",
    "Is this a CT, an MR or an X-ray?", "Is this CT, MRI or a radiograph?",
    "Which imaging modality produced this image?", "What scan is this?", "Imaging modality:",
    "Identify the imaging modality.", "Was this made by CT, MR or X-ray?",
    "With which technique was this image acquired?", "What technique produced this picture?",
    "Which machine made this image?", "How was this picture acquired?",
    "What technology was used to obtain this image?", "By what method was the image obtained?",
    "Was this acquired by CT, MR or radiography?", "Give the imaging modality of this picture.",
    "Please tell me the modality.", "What sort of scan am I looking at?", "Type of imaging?",
    "Imaging technique?", "What was this picture taken with?", "Which type of imaging is this?",
    "State the modality.", "Acquisition modality?", "What is the imaging technique?",
    "Tell me how this was imaged.",
)  # fmt: skip
MODALITY_IS = (
    "Is this {m}?", "Is this image {m}?", "Was this taken by {m}?", "Is {m} shown here?",
    "Is the modality {m}?", "Is this {m} image?",
)  # fmt: skip
MODALITY_NAMES = {
    "X-ray": ("X-ray", "CR", "DX", "X-ray", "Radiograph", "XR", "x-ray", "CR/DX", "Radiography",
              "plain film", "X-Ray", "CXR"),
    "CT": ("CT", "CT", "CT", "CT scan", "Computed tomography", "ct"),
    "MR": ("MR", "MRI", "MR", "MRI", "Magnetic resonance", "mr", "mri"),
}  # fmt: skip
MODALITY_ASKED = {
    "X-ray": ("an X-ray", "a radiograph", "a plain film", "an x-ray"),
    "CT": ("a CT", "a CT scan", "computed tomography", "a ct"),
    "MR": ("an MRI", "an MR", "an MR scan", "magnetic resonance imaging", "a mri"),
}
BODY = (
    "What body part is shown?", "Which body part is this?", "What part of the body is this?",
    "Which part of the body is imaged?", "What anatomy is shown?", "Body part?",
    "What region of the body is this?", "Which organ or region does this show?",
    "What body region is shown in this image?", "Which anatomical region is this?",
    "Name the body part.", "What is shown in this image, anatomically?", "Body part examined:",
    "What is being imaged?", "Identify the body part.", "Which region was scanned?",
    "Is this the head, chest, abdomen, breast or hand?",
    "Please tell me the body part.", "Which part of the body does this picture show?",
    "Anatomical region?", "What part of the patient was imaged?", "State the body part.",
    "Region?", "Which body region was examined?", "Tell me which part of the body this is.",
    "What organ system is pictured?", "Examined region?", "Where in the body was this taken?",
)  # fmt: skip
BODY_IS = ("Is this the {b}?", "Is this an image of the {b}?", "Is the {b} shown?",
           "Does this image show the {b}?", "Is this {ab} {b} image?")  # fmt: skip
BODY_NAMES = {
    "chest": ("Chest", "chest", "CHEST", "Thorax", "thorax", "Lungs"),
    "abdomen": ("Abdomen", "abdomen", "ABDOMEN", "ABD", "Belly", "abdominal"),
    "head": ("Head", "head", "HEAD", "Brain", "brain", "BRAIN", "Skull"),
    "hand": ("Hand", "hand", "HAND", "hand"),
    "breast": ("Breast", "breast", "BREAST", "breast"),
}
DESCRIBE = (
    "Describe the findings.", "What are the findings?", "Describe this image.",
    "Describe the film.",
    "Write the findings section.", "What do you see?", "Report this film.", "List the findings.",
    "Please describe the findings.", "Write a report.", "Draft the findings.", "Findings?",
    "Provide a description of the findings in the radiology image.", "Findings:",
    "Describe this chest radiograph.", "Give the findings of this study.", "Read this film.",
    "Describe the findings of this chest radiograph.", "What does this image show?",
    "Write the findings for this image.", "Generate a findings report.", "Describe what you see.",
    "Write the findings section of a radiology report for this image.", "Dictate the findings.",
    "Please write a radiology report.", "What does the chest film show?",
    "Tell me about this image.",
    "Please report what is seen.", "Report the findings.", "Please report this image.",
    "Report what this film shows.", "Tell me what is seen on this film.",
    "Please describe what this film shows.", "What can be seen on this film?",
    "Please tell me your findings.", "Report on this film.", "Please read this film for me.",
    "What findings do you see?", "Describe the abnormalities.", "What does this study show?",
    "Say what you see on this radiograph.", "Which findings are there on this film?",
)  # fmt: skip
DESCRIBE_FOR = (
    "Provide a description of the findings in the radiology image given the following "
    "indication: {r}.", "Indication: {r}. Describe the findings.", "{R}. What are the findings?",
    "Describe the findings. The reason for the examination is {r}.",
)  # fmt: skip
REASONS = ("cough", "fever", "shortness of breath", "chest pain", "follow-up", "preoperative",
           "intubation", "rule out pneumonia", "rule out effusion", "trauma",
           "dyspnoea")  # fmt: skip
IMPRESSION = (
    "What is your impression?", "Impression?", "Give the impression.", "Summarise in one line.",
    "Write the impression.", "Conclusion?", "What is the main finding?", "Impression:",
    "Summarise the film.", "In one sentence, what does this show?", "What is the conclusion?",
    "Give a one-line impression.", "Write a short impression of this study.",
    "Sum up the most important findings in one to three sentences and say how certain each is.",
    "Sum up the most important findings.", "Sum up this study.",
    "Summarize this study.", "Summarise the case for a colleague.", "Where is the abnormality?",
)  # fmt: skip
UNKNOWABLE = (
    "What is the patient's name?", "How old is the patient?", "What treatment do you recommend?",
    "What should be done next?", "Which drug should I give?", "Has this changed since last time?",
    "How does it compare with the prior film?", "What is the prognosis?", "Who took this image?",
    "When was this film taken?", "What is the blood pressure?", "Should the patient be admitted?",
    "What is the patient's temperature?", "What dose would you give?", "Does the patient smoke?",
    "What was the surgery for?", "What is the haemoglobin?", "Is the patient in pain?",
    "What will happen to this patient?", "Should we operate?", "Is this patient allergic?",
    "In which hospital was this taken?", "Should I start antibiotics?", "What therapy is needed?",
    "Does the patient need a chest drain?", "What is the patient's occupation?",
)  # fmt: skip
CANNOT_TELL = "I cannot tell that from this image."
NOT_TRAINED = "I was not trained to describe disease on such an image."
WHO = ("Who are you?", "What are you?", "Can I trust you?", "Are you a doctor?",
       "What model is this?", "How good are you?", "Hello", "Hi", "Good morning",
       "Can I use this for a patient?")  # fmt: skip
I_AM = (
    "I am a small demonstration model. I am often wrong, and nothing I write may be used for care."
)
NO_IMAGE = "There is no image for me to look at."
LEAD_INS = (
    "", "", "", "", "", "", "Please answer: ", "Please: ", "In this image, ", "On this film: ",
    "Question: ", "Doctor, ", "Look at the image. ", "For this study: ", "Quickly: ",
)  # fmt: skip
OTHER_MODALITIES = ("US", "PET", "NM", "Ultrasound", "mammography", "MG", "OT")
ASK_CHOICE = (" Answer with one of: {o}.", " Answer with one of: {o}.", " Answer with one of: {o}.",
              " Choose one: {o}.", " ({o})", " Options: {o}.",
              " Answer {o}.", " Reply with {o} only.", " Pick from {o}.")  # fmt: skip
