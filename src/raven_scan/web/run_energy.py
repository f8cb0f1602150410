"""What a run used of energy, in words."""

from html import escape

from raven_scan.training_runs.energy import WORLD, ProcessorMethod, RunEnergy
from raven_scan.web.texts import NONE, Texts, later

_METHODS = {
    ProcessorMethod.RAPL: later("Processor, measured: {energy}"),
    ProcessorMethod.TDP: later("Processor, estimated from its design power and load: {energy}"),
    ProcessorMethod.DEFAULT: later("Processor, estimated from 4 W a thread and load: {energy}"),
}


def name_energy(energy: RunEnergy | None, t: Texts) -> str:
    """Beside the time that it took."""
    if energy is None:
        return NONE
    return t("{energy}, {co2} of CO2", energy=t.energy(energy.energy_wh), co2=t.co2(energy.co2_g))


def draw_energy(energy: RunEnergy, t: Texts) -> str:
    """Of what it is made up, what is an estimate, and whose electricity it was."""
    lines = [
        t("Processor, in part measured and in part estimated: {energy}", energy=t.energy(energy.processor_wh))
        if len(energy.processor_methods) > 1
        else t(_METHODS[energy.processor_methods[0]], energy=t.energy(energy.processor_wh)),
        t("Memory, estimated: {energy}", energy=t.energy(energy.memory_wh)),
    ]
    if energy.gpu_wh:
        lines.append(t("GPU, measured: {energy}", energy=t.energy(energy.gpu_wh)))
    if not energy.is_complete:
        lines.append(t("A device could not be measured: it was more than this."))
    countries = ", ".join(t("the world in the mean") if each == WORLD else each for each in energy.countries)
    lines.append(t("CO2 reckoned with the electricity of: {countries}", countries=countries))
    drawn = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return f'{escape(name_energy(energy, t))}<div class="small muted">{drawn}</div>'
