// Each head of a table.sortable becomes a button that sorts the rows by its column: descending first, then ascending.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      const value = (row) => row.cells[column].textContent.trim().replaceAll(",", "").replace("infinity", "Infinity");
      const order = (one, other) => {
        const [x, y] = [parseFloat(one), parseFloat(other)];
        return isNaN(x) || isNaN(y) ? one.localeCompare(other) : x < y ? -1 : x > y ? 1 : 0;
      };
      const rows = [...table.tBodies[0].rows];
      rows.sort((one, other) => (down ? -1 : 1) * order(value(one), value(other)));
      table.tBodies[0].append(...rows);
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
    });
  });
}
