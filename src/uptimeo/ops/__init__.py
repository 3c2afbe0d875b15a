"""What may a scraper, a load balancer and an orchestrator ask a running agent?"""
