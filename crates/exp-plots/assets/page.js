// Draws the plots of the page. Nothing is fetched, and no expression of a document becomes code: Vega interprets them.
(function () {
  "use strict";
  const refuse = (uri) => Promise.reject(new Error("pages fetch nothing: " + uri));
  const loader = {
    options: {},
    load: refuse,
    file: refuse,
    http: refuse,
    sanitize: (uri) =>
      /^data:image\/(png|jpeg|gif|svg\+xml)[;,]/.test(uri) ? Promise.resolve({ href: uri }) : refuse(uri),
  };
  const options = {
    ast: true,
    loader: loader,
    actions: { export: true, source: false, compiled: false, editor: false },
  };
  const fail = (place, error) => {
    place.classList.add("failed");
    place.textContent = String((error && error.message) || error);
  };
  for (const script of document.querySelectorAll("script[type='application/json']")) {
    const place = document.getElementById(script.dataset.place);
    try {
      const spec = JSON.parse(script.textContent);
      // What a document says about how it is embedded is not for it to say.
      delete spec.usermeta;
      // The view stays there for whoever looks at it from the console.
      vegaEmbed(place, spec, options).then(
        (drawn) => (place.view = drawn.view),
        (error) => fail(place, error),
      );
    } catch (error) {
      fail(place, error);
    }
  }
  for (const series of document.querySelectorAll(".series")) {
    const slider = series.querySelector("input");
    const steps = Array.from(series.querySelectorAll(".step"));
    const shown = series.querySelector("output");
    const show = () => {
      steps.forEach((step, at) => (step.hidden = at !== Number(slider.value)));
      shown.textContent = steps[Number(slider.value)].dataset.step;
    };
    slider.addEventListener("input", show);
    show();
  }
})();
