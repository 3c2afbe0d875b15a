"""What do the dashboards in `deploy/grafana/dashboards` consist of? Run to write them."""
