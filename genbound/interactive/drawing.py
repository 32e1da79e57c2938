"""What the page runs: one JavaScript function that draws a figure and follows its sliders.

Its arguments are the figure's name, its numbers and words, and the curves. Colours stand in the
elements for pages without the book's style sheet, which overrules them by class.
"""

DRAW = r"""(name, figure, curves) => {
  "use strict";
  const POINTS = 400, GOLDEN = (Math.sqrt(5) - 1) / 2;
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  const element = (kind, attributes, text = "") => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.textContent = text;
    return made;
  };
  const stroke = (index, width) => ({ class: `series-${index + 1}`, fill: "none",
    stroke: figure.series[index][0], "stroke-dasharray": figure.series[index][1],
    "stroke-width": width });

  const show = (value, digits) => {
    const rounded = Number(value.toPrecision(digits)), size = Math.abs(rounded);
    const usual = size === 0 || (size >= 1e-3 && size < 1e6);
    const [factor, power] = usual ? [String(rounded)] : rounded.toExponential().split("e");
    const raised = (power ?? "").replace("+", "").replace("-", "⁻")
      .replace(/\d/g, digit => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit]);
    return (usual ? factor : factor === "1" ? `10${raised}` : `${factor}·10${raised}`)
      .replace("-", "−");
  };

  // A place on an axis or a slider is a part of its length, from 0 to 1.
  const valueAt = ({ low, high, scale }, part) => part <= 0 ? low : part >= 1 ? high
    : scale === "log" ? low * (high / low) ** part : low + part * (high - low);
  const partOf = ({ low, high, scale }, value) => scale === "log"
    ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);

  const ticks = ({ low, high, scale }, most) => {
    const inside = value => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
    const decades = Math.log10(high / low), found = [];
    if (scale === "log" && decades >= 1) {
      const leads = 3 * decades < most ? [1, 2, 5] : [1], stride = Math.ceil(decades / most);
      for (let k = Math.floor(Math.log10(low)); k <= Math.log10(high); k++)
        if (k % stride === 0) found.push(...leads.map(lead => Number(`${lead}e${k}`)));
      return found.filter(inside);
    }
    const rough = (high - low) / most, size = 10 ** Math.floor(Math.log10(rough));
    const step = size * [1, 2, 5, 10].find(factor => factor * size >= rough * (1 - 1e-9));
    for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
      found.push(Number((k * step).toPrecision(12)));
    return found;
  };

  const sliders = figure.sliders.map(slider => ({ ...slider,
    step: slider.step ?? (slider.scale === "log" ? null : (slider.high - slider.low) / 100) }));
  const positions = ({ low, high, scale, step }) =>
    scale === "log" ? 200 : Math.floor((high - low) / step + 1e-9);
  const settle = (slider, position) => {
    const { low, high, scale, step } = slider;
    const raw = scale === "log" ? valueAt(slider, position / 200) : low + position * step;
    const near = step ? low + Math.round((raw - low) / step) * step : raw;
    return clamp(Number(near.toPrecision(step ? 12 : 3)), low, high);
  };

  // The best of the drawn points, then golden section between its neighbours.
  const least = (curve, grid, heights) => {
    const finite = heights.map(y => Number.isFinite(y) ? y : Infinity);
    const best = finite.reduce((one, y, k) => y < finite[one] ? k : one, 0);
    if (finite[best] === Infinity) return null;
    let low = grid[Math.max(0, best - 1)], high = grid[Math.min(POINTS, best + 1)];
    for (let round = 0; round < 60; round++) {
      const span = GOLDEN * (high - low);
      if (curve(high - span) <= curve(low + span)) high = low + span; else low = high - span;
    }
    const middle = (low + high) / 2, found = curve(middle) < finite[best];
    return { x: found ? middle : grid[best], y: found ? curve(middle) : finite[best],
      end: !found && (best === 0 || best === POINTS) };
  };

  const roof = (heights, minima, low) => {
    const above = heights.flat().filter(y => Number.isFinite(y) && y > low).sort((a, b) => a - b);
    if (!above.length) return low + 1;
    const all = above.at(-1) - low, most = above[Math.floor(0.9 * (above.length - 1))] - low;
    const seen = minima.map(point => point ? 1.1 * (point.y - low) : 0);
    return low + Math.max(all <= 3 * most ? 1.06 * all : 1.5 * most, ...seen);
  };

  const mount = root => {
    const stage = root.querySelector(".stage"), svg = stage.querySelector("svg");
    const outputs = stage.querySelectorAll("output"), notes = stage.querySelectorAll(".least");
    const values = sliders.map(slider => slider.value);
    let drawn = 0;

    const draw = () => {
      const width = drawn = Math.max(280, stage.clientWidth || 640);
      const height = Math.round(clamp(0.6 * width, 260, 400));
      const bound = curves.map(curve => x => curve(x, ...values));
      const grid = Array.from({ length: POINTS + 1 }, (_, k) => valueAt(figure.x, k / POINTS));
      const heights = bound.map(curve => grid.map(curve));
      const minima = bound.map((curve, k) =>
        figure.marked[k] ? least(curve, grid, heights[k]) : null);
      const y = { ...figure.y, high: figure.y.high ?? roof(heights, minima, figure.y.low) };

      const rungs = ticks(y, Math.round(height / 60)).map(value => [value, show(value, 6)]);
      const left = 14 + 7.5 * Math.max(...rungs.map(([, text]) => text.length)), top = 30;
      const wide = width - left - 14, tall = height - top - 46, foot = top + tall;
      const across = value => left + wide * partOf(figure.x, value);
      const up = value => foot - clamp(tall * partOf(y, value), -9 * tall, 10 * tall);
      const trace = row => row.reduce(([path, pen], value, k) => Number.isFinite(value)
        ? [`${path}${pen}${across(grid[k]).toFixed(2)},${up(value).toFixed(2)}`, "L"]
        : [path, "M"], ["", "M"])[0];
      const line = (x1, y1, x2, y2, kind) => element("line", { x1, y1, x2, y2, class: kind,
        stroke: "#888888", "stroke-opacity": kind === "grid" ? 0.5 : 1 });
      const words = (x, y, anchor, text) => element("text", { x, y, "text-anchor": anchor,
        fill: "currentColor", "font-size": 13 }, text);

      // An inner drawing cuts off what leaves the axes, and needs no name to refer to.
      const window = element("svg", { x: left, y: top, width: wide, height: tall,
        viewBox: `${left} ${top} ${wide} ${tall}`, role: "presentation",
        style: "overflow: hidden" });
      window.append(...heights.map((row, k) =>
        element("path", { d: trace(row), ...stroke(k, 2.4) })));
      const dots = minima.flatMap((point, k) => {
        if (!point || point.y < y.low || point.y > y.high) return [];
        const [cx, cy] = [across(point.x), up(point.y)], look = stroke(k, 5);
        return [line(cx, cy, cx, foot, "axis drop"),
          element("circle", { cx, cy, r: 2.5, ...look, class: `dot ${look.class}`,
            "stroke-dasharray": "none" })];
      });
      svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
      svg.replaceChildren(
        ...rungs.flatMap(([value, text]) => [line(left, up(value), left + wide, up(value), "grid"),
          words(left - 8, up(value) + 4.5, "end", text)]),
        ...ticks(figure.x, Math.floor(wide / 60)).flatMap(value => [
          line(across(value), foot, across(value), foot + 5, "axis"),
          words(across(value), foot + 20, "middle", show(value, 6))]),
        line(left, foot, left + wide, foot, "axis"), line(left, top, left, foot, "axis"),
        words(left + wide / 2, foot + 40, "middle", figure.x.label),
        words(0, 14, "start", figure.y.label), window, ...dots);

      minima.forEach((point, k) => {
        const at = point && `${figure.x.label} = ${show(point.x, 3)}`;
        notes[k].textContent = !point ? "" : point.end ? `, least at the end, ${at}`
          : `, least at ${at}`;
      });
      sliders.forEach((_, k) => { outputs[k].value = show(values[k], 6); });
    };

    stage.querySelectorAll("input").forEach((input, k) => {
      const slider = sliders[k], count = positions(slider);
      const start = slider.scale === "log" ? partOf(slider, slider.value) * count
        : (slider.value - slider.low) / slider.step;
      Object.assign(input, { min: 0, max: count, step: 1, value: Math.round(start) });
      const say = () => input.setAttribute("aria-valuetext", show(values[k], 6));
      input.addEventListener("input", () => {
        values[k] = settle(slider, input.valueAsNumber);
        say();
        draw();
      });
      say();
    });
    stage.querySelectorAll("li").forEach((item, k) => {
      const key = element("svg", { class: "key", width: 34, height: 10, "aria-hidden": "true" });
      key.append(element("path", { d: "M0,5L34,5", ...stroke(k, 2.4) }));
      item.prepend(key);
    });
    root.querySelector(".fallback").hidden = true;
    stage.hidden = false;
    draw();
    new ResizeObserver(() => {
      if (stage.clientWidth && Math.abs(stage.clientWidth - drawn) > 1) draw();
    }).observe(stage);
  };

  const waiting = `[data-figure="${name}"]:not([data-drawn])`;
  for (const root of document.querySelectorAll(waiting)) {
    root.dataset.drawn = "";
    mount(root);
  }
}"""
