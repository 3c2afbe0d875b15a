"""What does the service manager hear of an agent? What /healthz and /readyz would say."""

from uptimeo.agent.start import Welcome
from uptimeo.ops.facts import AgentFacts
from uptimeo.ops.health import health, readiness
from uptimeo.service_manager import Condition

WAITING = "waiting for the database"


def condition(facts: AgentFacts, welcome: Welcome) -> Condition:
    """Alive and ready by the same rules; the words begin with role and datacenter."""
    ready = readiness(facts)
    where = welcome.datacenter_code
    role = f"leads {where}, term {facts.newest_term}" if facts.leads else f"stands by in {where}"
    words = [role, f"{facts.catalog.monitors} monitors", *ready.body["problems"]]
    if ready.good and not facts.reaches_database:
        words.append("goes on without the database")
    return Condition(alive=health(facts).good, ready=ready.good, status="; ".join(words))
