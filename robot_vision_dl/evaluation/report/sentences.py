"""Every sentence and headline that a verdict may say, so that a test can tell which of them nothing reaches."""
from typing import Dict, NamedTuple, Tuple

GOOD, CARE, BAD, INFO = 'good', 'care', 'bad', 'info'


class Point(NamedTuple):
    """One sentence and how it is to be taken: good, care, bad or info; ``key``: which one it is."""

    mood: str
    text: str
    key: str = ''


HEADLINES: Dict[str, str] = {
    'gates_failed': 'does not meet {failed} of {count} demands',
    'gates_met': 'meets {met}',
    'gates_met_but': 'meets {met}; see what speaks against it beside that',
    'no_labels': 'no labels, so it cannot be said whether it is right',
    'no_known': 'cannot be told: none of its classes came into view',
    'never_acts': 'not worth deploying: it never acts',
    'costs_more': 'not worth deploying: saying nothing would cost less',
    'accepts_foreign': 'not worth deploying: it accepts too much that is none of its classes',
    'wrong_too_often': 'not worth deploying: it is wrong too often when it acts',
    'knows_nothing': 'not worth deploying: its probabilities are worse than knowing nothing',
    'uncalibrated': 'not ready: its confidences are no probabilities',
    'limited': 'not ready: its calibration cannot keep what is promised',
    'unread': 'cannot be told: part of the recordings could not be judged',
    'flattered': 'cannot be told: it has learned from what judges it, or from much of it',
    'too_few': 'cannot be told yet: too few recordings to go by',
    'not_sure': 'looks worth deploying, but these recordings are too few to be sure',
    'foreign_untested': 'worth deploying by its own costs, where nothing but its classes comes into view',
    'care': 'worth deploying by its own costs, but not without care',
    'worth': 'worth deploying by its own costs',
}
"""The answer in one line."""

OF_PICTURES: Dict[str, str] = {
    'unread': 'cannot be told: part of the pictures could not be judged',
    'too_few': 'cannot be told yet: too few pictures, or folders of them, to go by',
    'not_sure': 'looks worth deploying, but these pictures are too few to be sure',
}
"""The same where all that was judged are pictures of folders."""

NOT_WORTH = frozenset(('never_acts', 'costs_more', 'accepts_foreign', 'wrong_too_often', 'knows_nothing',
                       'uncalibrated', 'limited'))
"""Headlines that say so; the others that speak against a model say that it cannot be told."""

REASONS: Dict[str, Tuple[str, ...]] = {
    'no_known': ('foreign',), 'never_acts': ('never_acts',), 'costs_more': ('costs_more',),
    'accepts_foreign': ('foreign', 'threshold', 'threshold_few'),
    'wrong_too_often': ('wrong_too_often', 'acting_costs'),
    'knows_nothing': ('knows_nothing',), 'uncalibrated': ('uncalibrated',), 'limited': ('limit',),
    'flattered': ('learned_pictures',), 'unread': ('failed', 'damaged', 'missing'),
    'too_few': ('few_frames', 'few_recordings', 'few_groups'),
    'not_sure': ('costs_unsure',), 'foreign_untested': ('foreign_untested', 'foreign_few'),
}
"""The sentences that say why a headline is what it is; they come first, with all else that speaks against it."""

GROUPS: Dict[str, Tuple[str, ...]] = {
    'Why': (),  # what speaks against it, whichever sentences these are
    'What it does': ('costs_more', 'costs_less', 'foreign', 'threshold', 'threshold_few', 'errors', 'no_errors',
                     'right', 'wrong_too_often', 'acting_costs', 'never_acts', 'coverage', 'false_unknown',
                     'worst_class', 'background', 'shortcut', 'tracks', 'forced', 'alone', 'unlabelled', 'quickness',
                     'changes'),
    'Whether its probabilities are any': ('uncalibrated', 'limit', 'knows_nothing', 'calibration', 'sets', 'sets_wide'),
    'What this rests on': (),  # all others
}
"""What the sentences of a verdict are about, in the order in which they are shown."""

SENTENCES: Dict[str, str] = {
    'gate': '{reason}.',
    # Costs.
    'costs_more': 'Its decisions cost {cost} a frame; never accepting any would cost {silence}.',
    'costs_less': 'Its decisions cost {cost} a frame ({costs}); never accepting any would cost {silence}.',
    'costs_unsure': 'By chance alone they could cost as much as never accepting any: {low} to {high}.',
    # Errors, those about what is none of its classes first.
    'foreign': 'Of {frames} that are none of its classes it accepts {accepted}{between} and calls {found} unknown.',
    'threshold': 'Its score could tell what is none of its classes from them (AUROC {auroc}), its threshold does not: '
                 'raise decision.false_unknown_rate (now {rate}) - here {price} of the frames of its classes would be '
                 'called unknown where 95 % of these are - or calibrate on pictures from here.',
    'threshold_few': 'Its score could tell what is none of its classes from them (AUROC {auroc}), its threshold '
                     'cannot, for want of calibration pictures: see what is said of these.',
    'foreign_few': 'Only {objects} of none of its classes came into view: what it makes of others is not known.',
    'foreign_untested': 'No frame is labelled unknown: how often it accepts what is none of its classes is not '
                        'known.',
    'errors': 'It acts on a wrong label {rate} times an hour{between}{ood} ({count} in {hours} of {seen}).',
    'no_errors': 'It acts on no wrong label in {hours} of {seen} (at most {high} an hour).',
    'right': 'Of the {accepted} that it acts on {right} are right{between}.',
    'wrong_too_often': 'Of the {accepted} that it acts on {wrong} are wrong; at most {most} should be: half of what '
                       'abstaining costs ({silence} of a wrong label), and never more than {never}.',
    'acting_costs': 'Acting costs {cost} a frame on average; at most {most} would be well, half of what abstaining '
                    'costs ({silence}).',
    'never_acts': 'It acts on none of {labelled}.',
    'coverage': 'Of its own classes it acts rightly on {right}{between}, wrongly on {wrong}, and says uncertain of '
                '{uncertain} and unknown of {unknown}.',
    'worst_class': 'Worst is {label}: acted on wrongly in {wrong} of its {frames}.',
    'background': '{listed} of the {wrong} whose object has a box look at the background: the evidence lies beside it.',
    'shortcut': 'Of the {right} rightly called {label} {listed} look at the background: something beside the object '
                'tells the class here, and may not elsewhere.',
    'tracks': 'Of {count}{foreign} it acts rightly on {right}, wrongly on {wrong}, and never on {never}.',
    'forced': 'Forced to answer, it names {alone} of the single frames rightly{between}, and {fused} when it fuses '
              'them over time.',
    'alone': 'Forced to answer, it names {alone} of the frames rightly{between}; each stands alone, nothing is fused.',
    'unlabelled': 'Of {frames} it acts on {accepted}, says uncertain for {uncertain} and unknown for {unknown}.',
    # Whether its probabilities are any.
    'uncalibrated': 'It is not calibrated: its confidences are no probabilities.',
    'limit': '{sentence}.',
    'knows_nothing': 'Its probabilities are worse than knowing nothing: a negative log-likelihood of {nll} '
                     '({which}), where the same probability for each of its {classes} classes gives {chance}.',
    'calibration': 'When it says 80 % it should be right 8 times of 10: on average it is off by {error} '
                   '(chance alone would give {floor} with so few frames{alike}).',
    'sets': 'Its sets of possible classes hold the true one in {reached} of the frames{promised}, with '
            '{size} of {classes} classes each.',
    'sets_wide': 'Its sets of possible classes say little: with {size} of {classes} classes each it takes no skill '
                 'that they hold the true one in {reached} of the frames{promised}.',
    'false_unknown': '{rate} of the frames of known classes are called unknown.',
    # Time.
    'quickness': 'Of {all} of its classes {count} are ever acted on rightly; for these that takes {takes} '
                 '(median){changes}.',
    'changes': 'Its decision changes {changes} times a second.',
    # What all this rests on.
    'failed': 'Of {count} nothing could be judged, since the process that read it died or met a fault.',
    'damaged': '{count} of {all} are damaged or incomplete: what is missing in them was not judged.',
    'missing': '{missing} of {all} could not be read or decided.',
    'learned_from': 'By their names it was trained on {names}{more}, of {all} judged here: if they are the same, these '
                    'figures are flattering.',
    'learned_pictures': 'Of {all} labelled with a class {seen} (perceptual hash): {where}. {whole}{right} of '
                        'them are called rightly, each by itself{others}. If they are the same, the figures here are '
                        'flattering: judge it on others.',
    'unseen_pictures': 'Of {all} labelled with a class not one looks like a picture {what} (by a hash that mirrored, '
                       'turned and closer cut ones escape).',
    'few_pictures_seen': 'Of {all} labelled with a class {seen} (perceptual hash): too few to matter.',
    'few_frames': 'All this rests on {frames} that are labelled.',
    'objects': 'A frame is here one object of an image, as a detector found it; what that missed is not judged.',
    'refused': '{refused} of {all} were too small, mostly outside of the picture, blurred or without a usable box: the '
               'node calls them uncertain, and no figure here counts them, not even coverage.',
    'few_recordings': 'All this comes from {recordings}: another day, another light or another place may differ.',
    'few_groups': 'All this rests on {groups}: too few for intervals to be trusted.',
}
"""What the answer rests on."""


def say(mood: str, key: str, **values: object) -> Point:
    """A sentence with its values; their percent signs and numbers are texts already."""
    return Point(mood, SENTENCES[key].format(**values), key)
