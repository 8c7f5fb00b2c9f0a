"""One offline page of a whole study: a file for each section, one template, and what the page does beside each."""
