from django.urls import path
from sites import views

urlpatterns = [
    path("ok/", views.ok),
    path("slow/", views.slow),
    path("flaky/", views.flaky),
]
