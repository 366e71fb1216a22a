// node look.cjs JOB.json: opens a page in Chromium, does what the job says, and prints what came of it as JSON.
//
// A job has `chromium` and `size` ([width, height]), and either `page` (a file) with `steps`, or `scripts` (files of Vega,
// Vega-Lite) with `specs`, whose marks are drawn and told. Steps: {do: "wheel", on, by}, {do: "slide", on, to},
// {do: "click", on}, {do: "hover", on, at}, {do: "tell", is}, where `is` is an expression, {do: "shoot", to}.
const fs = require("fs"), os = require("os"), path = require("path");
const { chromium } = require("playwright-core");
const job = JSON.parse(fs.readFileSync(process.argv[2], "utf8"));

// The marks of a drawn view: type, and what is seen of each item.
function marksOf(view) {
  const marks = [];
  const seen = ["x", "y", "x2", "y2", "width", "height", "size", "shape", "fill", "stroke", "strokeDash", "opacity", "text", "angle"];
  const round = (value) => (typeof value === "number" ? Math.round(value * 1000) / 1000 : value);
  const walk = (mark) => {
    for (const item of mark.items || []) {
      if (mark.marktype !== "group") {
        const kept = {};
        for (const key of seen) if (item[key] !== undefined && item[key] !== null) kept[key] = round(item[key]);
        marks.push(mark.marktype + " " + (mark.role || "") + " " + JSON.stringify(kept));
      }
      for (const inner of item.items || []) walk(inner);
    }
  };
  walk(view.scenegraph().root);
  return marks;
}

(async () => {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), "look-"));
  const found = { console: [], errors: [], requests: [], dialogs: [], told: [] };
  const [width, height] = job.size || [1200, 800];
  const browser = await chromium.launchPersistentContext(profile, {
    executablePath: job.chromium, headless: true, viewport: { width, height }, offline: false,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-sync", "--proxy-server=direct://", "--host-resolver-rules=MAP * ~NOTFOUND"],
  });
  try {
    const page = browser.pages()[0] || (await browser.newPage());
    page.setDefaultTimeout(20000);
    page.on("pageerror", (error) => found.errors.push(String(error)));
    page.on("console", (message) => {
      // Vega warns of what DVC's templates say; that is no error.
      if (message.type() === "error") found.console.push(message.text());
    });
    page.on("dialog", (dialog) => { found.dialogs.push(dialog.message()); dialog.dismiss(); });
    page.on("request", (request) => {
      if (!/^(data|blob|about):/.test(request.url())) found.requests.push(request.url());
    });
    if (job.page) {
      await page.goto("file://" + job.page, { waitUntil: "load" });
      await page.waitForFunction(() => Array.from(document.querySelectorAll("script[data-place]")).every((script) => {
        const place = document.getElementById(script.dataset.place);
        return place.view || place.classList.contains("failed");
      }));
    } else {
      await page.goto("about:blank");
      for (const file of job.scripts) await page.addScriptTag({ path: file });
      for (const spec of job.specs) {
        found.told.push(await page.evaluate(async ([spec, source]) => {
          const marksOf = eval("(" + source + ")");
          const compiled = vegaLite.compile(spec).spec;
          const view = new vega.View(vega.parse(compiled), { renderer: "none" });
          await view.runAsync();
          return marksOf(view).sort();
        }, [spec, marksOf.toString()]));
      }
    }
    for (const step of job.steps || []) {
      const target = step.on && page.locator(step.on).first();
      if (step.do === "wheel") {
        await target.hover();
        await page.mouse.wheel(0, step.by);
        await page.waitForTimeout(300);
      } else if (step.do === "slide") {
        await target.evaluate((input, to) => {
          input.value = to;
          input.dispatchEvent(new Event("input", { bubbles: true }));
        }, step.to);
        await page.waitForTimeout(300);
      } else if (step.do === "click") {
        await target.click();
        await page.waitForTimeout(300);
      } else if (step.do === "hover") {
        await target.hover({ position: step.at });
        await page.waitForTimeout(300);
      } else if (step.do === "tell") {
        found.told.push(await page.evaluate(step.is));
      } else if (step.do === "shoot") {
        await page.screenshot({ path: step.to, fullPage: true });
      }
    }
  } finally {
    await browser.close();
    fs.rmSync(profile, { recursive: true, force: true });
  }
  console.log(JSON.stringify(found));
})().catch((error) => { console.error(String(error)); process.exit(2); });
