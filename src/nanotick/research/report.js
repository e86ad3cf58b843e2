// A crosshair with the values under it. The report is complete without this.
document.querySelectorAll("svg[data-times]").forEach(function (svg) {
  var box = svg.parentNode, data = svg.dataset, times = data.times.split("|");
  var lines = data.lines.split(";;").map(function (l) { return l.split("|"); });
  var width = svg.viewBox.baseVal.width, cursor = document.createElement("div"), tip = document.createElement("div");
  cursor.className = "cursor"; tip.className = "tip"; box.appendChild(cursor); box.appendChild(tip);
  function hide() { cursor.style.display = tip.style.display = "none"; }
  function show(event) {
    var area = svg.getBoundingClientRect(), scale = area.width / width;
    var share = ((event.clientX - area.left) / scale - data.left) / (data.right - data.left);
    if (share < 0 || share > 1) return hide();
    var i = Math.min(times.length - 1, Math.floor(share * times.length)), x = event.clientX - area.left;
    tip.replaceChildren();
    var when = document.createElement("b"); when.textContent = times[i]; tip.appendChild(when);
    lines.forEach(function (line) {
      var row = document.createElement("div"), dot = document.createElement("i"), text = document.createElement("span");
      row.className = "c-" + line[0]; text.textContent = line[1] + "  " + line[i + 2];
      row.appendChild(dot); row.appendChild(text); tip.appendChild(row);
    });
    cursor.style.display = tip.style.display = "block";
    cursor.style.left = x + "px"; cursor.style.top = data.top * scale + "px"; cursor.style.height = (data.bottom - data.top) * scale + "px";
    tip.style.left = (x > area.width / 2 ? x - tip.offsetWidth - 12 : x + 12) + "px"; tip.style.top = "8px";
  }
  svg.addEventListener("pointermove", show); svg.addEventListener("pointerdown", show); svg.addEventListener("pointerleave", hide);
});
