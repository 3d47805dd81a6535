"""The deployment of an evaluation: a parameter file for one node, and changes."""
from dataclasses import replace

import pytest

from robot_vision_dl.core.config import ClassifierConfig
from robot_vision_dl.core.errors import ConfigError
from robot_vision_dl.evaluation.deployment import deployment, unseen

ROBOT = """
classifier: {ros__parameters: {decision: {abstain_cost: 0.1, false_unknown_rate: 0.0}, use_sim_time: true}}
/front/classifier: {ros__parameters: {decision.abstain_cost: 0.9, decision.abstain_cots: 1.0}}
person_detector: {ros__parameters: {top_k: 1}}
"""


def test_the_file_is_read_for_one_node(tmp_path):
    path = tmp_path / 'p.yaml'
    path.write_text(ROBOT)
    told = []
    config = deployment(str(path), tell=told.append)
    assert (config.decision.abstain_cost, config.decision.false_unknown_rate, config.top_k) == (.1, 0.0, 5)
    assert told == []
    assert deployment(str(path), node='front/classifier', tell=told.append).decision.abstain_cost == .9
    assert len(told) == 1 and "decision.abstain_cots: the node has no such parameter and passes it over; did you " \
        "mean 'decision.abstain_cost'?" in told[0]
    with pytest.raises(ConfigError, match='has nothing for the node /rear/classifier; there is /classifier, /front'):
        deployment(str(path), node='/rear/classifier')


def test_changes_are_read_as_values_of_parameters(tmp_path):
    config = deployment(None, ['fusion.enabled=off', 'decision.abstain_cost=1e-1', 'top_k=010', 'cameras=["a"]',
                               'model=007', 'fusion.change_time_s=2'])
    assert (config.fusion.enabled, config.decision.abstain_cost, config.top_k, config.cameras, config.model,
            config.fusion.change_time_s) == (False, .1, 8, ('a',), '007', 2.0)
    assert deployment() == ClassifierConfig()
    for change in ('top_k=many', 'top_k=', 'top_k=[1', 'x=1', 'top_k', 'top_k=' + '9' * 5000, 'fusion.enabled=2',
                   'cameras=[1]', 'cameras={a: 1}'):
        with pytest.raises(ConfigError) as caught:
            deployment(None, [change])
        assert '\n' not in str(caught.value) and len(str(caught.value)) < 600


@pytest.mark.parametrize('topics, node, images, seen', [
    (['/camera/image_raw'], '/classifier', ['/camera/image_raw'], True),
    (['/camera/image_raw'], '/classifier', ['/camera/image_raw/compressed', '/x'], True),
    (['camera/image_raw'], '/classifier', ['/camera/image_raw'], True),
    (['image_raw'], '/camera/classifier', ['/camera/image_raw'], True),
    (['image_raw'], 'camera/classifier', ['camera/image_raw'], True),
    (['image'], '/classifier', ['/camera/image_raw'], True),  # the default, which launch files remap
    (['~/image'], '/classifier', ['/camera/image_raw'], True),
    (['image_raw'], '/front/classifier', ['/camera/image_raw'], False),
    (['/front/image_raw'], '/classifier', ['/camera/image_raw', '/rear/image_raw'], False)])
def test_a_deployment_that_would_not_see_the_bags(topics, node, images, seen):
    said = unseen(replace(ClassifierConfig(), image_topics=tuple(topics)), node, images)
    assert bool(said) is not seen
    if not seen:
        assert f'subscribe to /front/image_raw, and in them there is {", ".join(images)}; they are judged' in said
